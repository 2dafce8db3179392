"""The command line: parses, calls the library, prints; one module a verb (DESIGN section 12)."""
