"""The command line: parses, calls the library, prints; one module a verb (docs/design.md, "Command line")."""
