-- Compatible from: 4

-- Chunks of files and their index: each engine's own, in the files beside this one.
