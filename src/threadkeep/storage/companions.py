"""SQL that one engine alone runs: `NAME.sqlite.sql` and `NAME.postgres.sql` beside a `NAME.sql` that all run.

There is no common text for triggers. What a rule demands is the same in both, as tests prove.
"""

import re
from importlib import resources


def companion_of(name: str, engine: str) -> tuple[str, ...]:
    """The statements that go with the file `name` (`schema.sql`, `migrations/0001_x.sql`) on an engine.

    Triggers hold semicolons of their own, so a statement ends with one before an empty line.
    """
    path = resources.files("threadkeep.storage") / f"{name.removesuffix('.sql')}.{engine}.sql"
    if not path.is_file():
        return ()
    plain = re.sub(r"--[^\n]*", "", path.read_text(encoding="utf-8"))
    return tuple(part.strip() for part in re.split(r";\s*?(?:\n\s*\n|\Z)", plain.strip()) if part.strip())
