"""One row of the tables on a machine that is lent for half an hour: pack, run there, collect at home.

Such a machine takes transfers of at most 64 MiB and gives back at most 8 files of at most 16 MiB; the limits stand in
`packing` and `collecting`. Run it from the checkout: ``python -m maintainers.borrowed_gpu --help``.
"""
