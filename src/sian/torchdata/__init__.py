"""Images with their instance masks for training loops of one's own: `sian.torch_dataset`.

::

    map_style.py       torch_dataset, TorchDataset: sample i as a pure function of (seed, i)
    places.py          which item and which window of it sample i shows
    example.py         one item, and what can be read by number
    tile_sources.py    where masks and images come from: data sets, folders of masks, invented masks
    shard_reading.py   the same from tar files
    on_the_fly.py      painted on the fly
"""

from sian.data.loading import Loader
from sian.torchdata.map_style import TorchDataset, torch_dataset

__all__ = ["Loader", "TorchDataset", "torch_dataset"]
