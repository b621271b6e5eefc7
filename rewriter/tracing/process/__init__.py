"""The process that imports the packages that the user trusts, and records what their layers compute."""
