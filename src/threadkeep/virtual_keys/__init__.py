"""Virtual keys: names under which requests choose a provider of models and the secret to use there."""
