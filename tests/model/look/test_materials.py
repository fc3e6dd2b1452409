import torch

from model.look.materials import REGIONS, region_shares, statistical_materials
from tests.model.refine.fit_scenes import model


def test_the_shares_of_every_vertex_add_to_one() -> None:
    shares = region_shares(model())
    torch.testing.assert_close(shares.sum(1), torch.ones(len(shares)))
    assert float(shares.min()) >= 0.0


def test_named_regions_are_whole_and_the_forehead_begins_above_the_brows() -> None:
    head = model()
    shares = region_shares(head)
    for name in ("nose", "lips", "eyelids"):
        only = head.region(name).clone()
        for other in REGIONS[REGIONS.index(name) + 1 :]:
            only &= ~head.region(other)
        assert (shares[only, REGIONS.index(name)] == 1.0).all()
    plain = ~(head.region("nose") | head.region("lips") | head.region("eyelids"))
    forehead, height_mm = shares[plain, 1], head.mean_mm[plain, 1]
    order = height_mm.argsort()
    assert (forehead[order].diff() >= 0.0).all()
    assert float(forehead[height_mm > 70.0].min()) > 0.95
    assert float(forehead[height_mm < 0.0].max()) < 0.05


def test_lips_and_eyes_are_glossier_than_skin() -> None:
    head = model()
    found = statistical_materials(head)
    cheek = float(found.roughness[head.mean_mm[:, 1].argmin()])
    for name in ("lips", "nose", "eyes"):
        assert float(found.roughness[head.region(name)].max()) < cheek
    assert 0.02 <= float(found.f0.min()) <= float(found.f0.max()) <= 0.05
