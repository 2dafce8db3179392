"""What is known of MoNuSeg: the split and organ of each tile, and the terms of use.

Names are TCGA barcodes. The split is the official one that the paper uses: 30 training tiles (2018) and 14
test tiles; today's training zip holds seven tiles more, which are given the split "extra". Organs are named
as the data set gives them: its six "liver" tiles carry TCGA's codes of lung cohorts. The organs of the
seven are those of TCGA's site codes.
"""

from __future__ import annotations

NAME = "MoNuSeg"
LICENCE = "CC BY-NC-SA 4.0"
SOURCE = "MoNuSeg (Kumar et al. 2017 and 2020), tiles of The Cancer Genome Atlas, https://monuseg.grand-challenge.org"
MPP = 0.25  # 40x; each XML gives its own, from 0.2456 to 0.2527
SPLIT_SIZES = {"train": 30, "test": 14}

# TCGA site codes of lung cohorts among the tiles that the data set calls "liver".
LUNG_SITE_CODES = frozenset({"18", "21", "38", "49", "50"})

# tile: (split, organ)
TILES: dict[str, tuple[str, str]] = {
    "TCGA-18-5592-01Z-00-DX1": ("train", "liver"),
    "TCGA-21-5784-01Z-00-DX1": ("train", "liver"),
    "TCGA-21-5786-01Z-00-DX1": ("train", "liver"),
    "TCGA-38-6178-01Z-00-DX1": ("train", "liver"),
    "TCGA-49-4488-01Z-00-DX1": ("train", "liver"),
    "TCGA-50-5931-01Z-00-DX1": ("train", "liver"),
    "TCGA-A7-A13E-01Z-00-DX1": ("train", "breast"),
    "TCGA-A7-A13F-01Z-00-DX1": ("train", "breast"),
    "TCGA-AR-A1AK-01Z-00-DX1": ("train", "breast"),
    "TCGA-AR-A1AS-01Z-00-DX1": ("train", "breast"),
    "TCGA-AY-A8YK-01A-01-TS1": ("train", "colon"),
    "TCGA-B0-5698-01Z-00-DX1": ("train", "kidney"),
    "TCGA-B0-5710-01Z-00-DX1": ("train", "kidney"),
    "TCGA-B0-5711-01Z-00-DX1": ("train", "kidney"),
    "TCGA-CH-5767-01Z-00-DX1": ("train", "prostate"),
    "TCGA-DK-A2I6-01A-01-TS1": ("train", "bladder"),
    "TCGA-E2-A14V-01Z-00-DX1": ("train", "breast"),
    "TCGA-E2-A1B5-01Z-00-DX1": ("train", "breast"),
    "TCGA-G2-A2EK-01A-02-TSB": ("train", "bladder"),
    "TCGA-G9-6336-01Z-00-DX1": ("train", "prostate"),
    "TCGA-G9-6348-01Z-00-DX1": ("train", "prostate"),
    "TCGA-G9-6356-01Z-00-DX1": ("train", "prostate"),
    "TCGA-G9-6362-01Z-00-DX1": ("train", "prostate"),
    "TCGA-G9-6363-01Z-00-DX1": ("train", "prostate"),
    "TCGA-HE-7128-01Z-00-DX1": ("train", "kidney"),
    "TCGA-HE-7129-01Z-00-DX1": ("train", "kidney"),
    "TCGA-HE-7130-01Z-00-DX1": ("train", "kidney"),
    "TCGA-KB-A93J-01A-01-TS1": ("train", "stomach"),
    "TCGA-NH-A8F7-01A-01-TS1": ("train", "colon"),
    "TCGA-RD-A8N9-01A-01-TS1": ("train", "stomach"),
    "TCGA-2Z-A9J9-01A-01-TS1": ("test", "kidney"),
    "TCGA-44-2665-01B-06-BS6": ("test", "lung"),
    "TCGA-69-7764-01A-01-TS1": ("test", "lung"),
    "TCGA-A6-6782-01A-01-BS1": ("test", "colon"),
    "TCGA-AC-A2FO-01A-01-TS1": ("test", "breast"),
    "TCGA-AO-A0J2-01A-01-BSA": ("test", "breast"),
    "TCGA-CU-A0YN-01A-02-BSB": ("test", "bladder"),
    "TCGA-EJ-A46H-01A-03-TSC": ("test", "prostate"),
    "TCGA-FG-A4MU-01B-01-TS1": ("test", "brain"),
    "TCGA-GL-6846-01A-01-BS1": ("test", "kidney"),
    "TCGA-HC-7209-01A-01-TS1": ("test", "prostate"),
    "TCGA-HT-8564-01Z-00-DX1": ("test", "brain"),
    "TCGA-IZ-8196-01A-01-BS1": ("test", "kidney"),
    "TCGA-ZF-A9R5-01A-01-TS1": ("test", "bladder"),
    "TCGA-BC-A217-01Z-00-DX1": ("extra", "liver"),
    "TCGA-F9-A8NY-01Z-00-DX1": ("extra", "kidney"),
    "TCGA-FG-A87N-01Z-00-DX1": ("extra", "brain"),
    "TCGA-MH-A561-01Z-00-DX1": ("extra", "kidney"),
    "TCGA-UZ-A9PJ-01Z-00-DX1": ("extra", "kidney"),
    "TCGA-UZ-A9PN-01Z-00-DX1": ("extra", "kidney"),
    "TCGA-XS-A8TJ-01Z-00-DX1": ("extra", "head-neck"),
}
