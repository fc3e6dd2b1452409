import pytest
import torch

from model.encoder.point_decoder import PointDecoder

SHAPES = [(8, 32, 32), (8, 16, 16), (12, 8, 8), (16, 4, 4), (20, 4, 4)]


def maps(batch: int = 2) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(batch, *shape) for shape in SHAPES]


def test_it_reads_the_last_map_of_each_size_that_is_not_too_fine() -> None:
    # Of a crop of 64 px a map of 8 x 8 has 8 px for each place.
    assert PointDecoder(SHAPES, 64, 3).chosen == [2, 4]
    assert PointDecoder(SHAPES, 128, 3).chosen == [1, 2, 4]
    # A network all of whose maps are finer is read where it ends.
    assert PointDecoder([(8, 32, 32), (8, 32, 32)], 64, 3).chosen == [1]


def test_an_untrained_decoder_expects_to_be_far_off() -> None:
    _, log_distance = PointDecoder(SHAPES, 64, 3)(maps())
    torch.testing.assert_close(log_distance.exp(), torch.full((2, 3), 0.2))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (7, 7)])
def test_a_point_lies_where_its_map_is_bright(row: int, column: int) -> None:
    decoder = PointDecoder([(1, 8, 8)], 64, 1).eval()
    torch.nn.init.constant_(decoder.lateral[0].weight, 1.0)
    torch.nn.init.constant_(decoder.places.weight, 1.0)
    bright = torch.zeros(1, 1, 8, 8)
    bright[0, 0, row, column] = 10.0
    points, _ = decoder([bright])
    torch.testing.assert_close(points[0, 0], torch.tensor([(column + 0.5) / 8, (row + 0.5) / 8]), atol=1e-4, rtol=0)


def test_it_learns_to_find_a_spot_between_places() -> None:
    torch.manual_seed(0)
    decoder = PointDecoder([(1, 16, 16), (1, 8, 8)], 128, 1)
    optimizer = torch.optim.Adam(decoder.parameters(), lr=1e-2)
    grid = (torch.arange(16) + 0.5) / 16
    errors = []
    for _ in range(150):
        truth = 0.2 + 0.6 * torch.rand(16, 2)
        away = (grid - truth[:, :1])[:, None].square() + (grid - truth[:, 1:])[:, :, None].square()
        spot = (-away / 0.005).exp()[:, None]
        points, log_distance = decoder([spot, torch.nn.functional.avg_pool2d(spot, 2)])
        off = (points[:, 0] - truth).norm(dim=-1)
        errors.append((float(off.mean()), float(log_distance.exp().mean())))
        loss = off.mean() + 0.1 * (off.detach() / log_distance[:, 0].exp() + log_distance[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    off, expected = torch.tensor(errors[-20:]).mean(0).tolist()
    # A fifth of a place, and it knows.
    assert off < 0.2 / 16
    assert 0.5 * off < expected < 4.0 * off
