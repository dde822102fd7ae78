import numpy as np
import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from workflow_scripts.common.files import read_tsv
from workflow_scripts.common.nnunet.network import read_encoder
from workflow_scripts.pretrain.methods.mae import Reconstruction, draw_mask, masked_error, pad_to_multiple
from workflow_scripts.pretrain.settings import Masking
from workflow_scripts.pretrain.views.augment import draw_parameters
from workflow_scripts.pretrain.views.batches import Views

CPU = torch.device("cpu")
SHAPE = (6, 12, 12)


@pytest.fixture
def parameters(make_settings):
    return draw_parameters(make_settings(), 4, np.random.default_rng(0))


@pytest.fixture
def method(any_architecture, make_settings):
    torch.manual_seed(0)
    return Reconstruction(any_architecture, make_settings(method="mae"), CPU)


@pytest.fixture
def batch(parameters):
    views = torch.randn(4, 1, *SHAPE, generator=torch.Generator().manual_seed(0))
    return (Views(views, parameters),)


def test_three_quarters_of_the_blocks_are_hidden_and_each_as_a_whole(parameters):
    hidden = draw_mask(parameters, SHAPE, Masking((2, 4, 4), 0.75))
    assert hidden.shape == (4, 1, *SHAPE)
    assert hidden.float().mean((1, 2, 3, 4)).tolist() == pytest.approx([20 / 27] * 4)
    blocks = hidden.reshape(4, 3, 2, 3, 4, 3, 4).float().mean((2, 4, 6))
    assert set(blocks.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(hidden[0], hidden[1])


def test_every_block_is_hidden_as_often_as_any_other(make_settings):
    many = draw_parameters(make_settings(), 4000, np.random.default_rng(1))
    share = draw_mask(many, SHAPE, Masking((3, 6, 6), 0.75)).float().mean(0)
    np.testing.assert_allclose(share, 0.75, atol=0.03)


def test_blocks_at_the_far_edge_are_cut_off(parameters):
    hidden = draw_mask(parameters, (5, 7, 9), Masking((2, 4, 4), 0.5))
    assert hidden.shape == (4, 1, 5, 7, 9)
    assert (hidden[:, :, 4, 4:, 8:] == hidden[:, :, 4, 4:5, 8:9]).all()


def test_masks_of_a_part_of_a_batch_are_those_of_the_batch(parameters):
    rows = np.array([3, 1])
    masking = Masking((2, 4, 4), 0.75)
    assert torch.equal(draw_mask(parameters.of(rows), SHAPE, masking), draw_mask(parameters, SHAPE, masking)[rows])


def test_error_counts_hidden_voxels_only():
    views, restored = torch.zeros(1, 2, 1, 1, 4), torch.tensor([[1.0, 2.0, 9.0, 9.0], [3.0, 0.0, 9.0, 9.0]])
    hidden = torch.tensor([True, True, False, False]).reshape(1, 1, 1, 1, 4)
    assert masked_error(restored.reshape(1, 2, 1, 1, 4), views, hidden).item() == pytest.approx((1 + 4 + 9 + 0) / 4)


def test_views_are_padded_to_what_the_strides_divide():
    views = torch.arange(5.0 * 7 * 3).reshape(1, 1, 5, 7, 3)
    padded = pad_to_multiple(views, [2, 4, 1])
    assert padded.shape == (1, 1, 6, 8, 3)
    assert torch.equal(padded[..., :5, :7, :], views)
    assert torch.equal(padded[..., 5, 7, :], views[..., 4, 6, :])


def test_hidden_voxels_do_not_reach_the_network(method, batch):
    views, hidden = method.inputs(batch)
    changed = torch.where(hidden, 7.0, views)
    seen = []
    method.network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    method.evaluate((views, hidden), 0)
    method.evaluate((changed, hidden), 0)
    assert torch.equal(*seen) and len(seen) == 2


def test_views_are_flipped_but_their_intensities_are_kept(method, batch):
    views, _ = method.inputs(batch)
    for view, plain, axes in zip(views, batch[0].plain, batch[0].parameters.flip, strict=True):
        assert torch.equal(view, plain.flip([1 + axis for axis in range(3) if axes[axis]]))


def test_steps_restore_hidden_voxels_better(method, batch):
    smooth = torch.nn.functional.avg_pool3d(batch[0].plain, 3, 1, 1) * 4
    inputs = method.inputs((Views(smooth, batch[0].parameters),))
    before = method.evaluate(inputs, 0)
    for _ in range(30):
        method.step(inputs, 4)
    assert method.evaluate(inputs, 0) < 0.8 * before


def test_evaluation_changes_no_weight(method, batch):
    before = {name: value.clone() for name, value in method.network.state_dict().items()}
    method.evaluate(method.inputs(batch), 0)
    method.measure(method.embed(batch), 0)
    assert all(torch.equal(value, before[name]) for name, value in method.network.state_dict().items())


def test_the_rule_writes_the_same_files_and_an_encoder_for_nnunets_network(run_rule, architecture):
    folder = run_rule(method="mae")
    rows = read_tsv(folder / "curves.tsv")
    assert {"train_loss", "validation_loss", "feature_deviation", "learning_rate", "images_per_second"} <= set(rows[0])
    assert not any("teacher_information" in name or "stage" in name for name in rows[0])
    network = get_network_from_plans(*architecture.values(), 1, 2, deep_supervision=True)
    network.encoder.load_state_dict(read_encoder(folder / "encoder.pt")["state_dict"], strict=True)
    card = (folder / "model_card.md").read_text()
    assert "masked autoencoding" in card and "teacher" not in card
