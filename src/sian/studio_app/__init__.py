"""The studio: a page in the browser on which nuclei are drawn and the tissue appears (`sian studio`).

::

    editing.py    what each tool does to a mask
    document.py   the drawing and its history
    below.py      the real picture that a drawing may lie on
    autosave.py   every step, on disk
    inventing.py  invented nuclei: to stamp, and to fill an area with
    live.py       the painter: what changed first, then the whole picture
    shelf.py      the styles on offer
    messages.py   what a page may say
    studio.py     all of these together, without a page
    dropped.py    a picture becomes a style or nuclei; jobs.py runs it, one at a time
    corrected.py  masks of real tiles, there and back; tuning.py fine-tunes to them
    errands.py    all that a page can ask for
    saving.py     what leaves the studio; opening.py what enters it
    guard.py      who may talk to the server
    server.py     the page, its files and its socket
    serving.py    the server's start
    page/         HTML, CSS and JavaScript modules
"""
