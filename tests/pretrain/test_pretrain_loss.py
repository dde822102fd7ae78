import importlib
import importlib.metadata
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from workflow_scripts.pretrain.methods import loss
from workflow_scripts.pretrain.methods.loss import cross_entropy, stage_losses, teacher_probabilities, updated_centre

IMAGES, PROTOTYPES = 5, 33
LIGHTLY = importlib.metadata.distribution("lightly").locate_file("lightly")


@pytest.fixture
def dino_loss(monkeypatch):
    """lightly's DINO loss, imported without lightly's packages: those import torchvision, which a CPU torch cannot."""
    for package in ("lightly", "lightly.loss", "lightly.models", "lightly.models.modules"):
        module = types.ModuleType(package)
        module.__path__ = [str(Path(LIGHTLY, *package.split(".")[1:]))]
        monkeypatch.setitem(sys.modules, package, module)
    for module in ("lightly.models.modules.center", "lightly.loss.dino_loss"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    yield importlib.import_module("lightly.loss.dino_loss").DINOLoss
    for module in ("lightly.models.modules.center", "lightly.loss.dino_loss"):
        del sys.modules[module]


@pytest.fixture(params=[PROTOTYPES, 10], ids=["at once", "in pieces"])
def pieces(request, monkeypatch):
    monkeypatch.setattr(loss, "PROTOTYPES_AT_ONCE", request.param)


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(3)
    return lambda rows, columns: torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def cosines(embeddings, prototypes):
    return F.normalize(embeddings, dim=1) @ F.normalize(prototypes, dim=1).T


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("local_views", [0, 3])
def test_one_stage_equals_lightlys_dino_loss_and_gradient(dino_loss, draw, local_views):
    rows = (2 + local_views) * IMAGES
    ours = [draw(rows, 8).requires_grad_(), draw(PROTOTYPES, 8).requires_grad_()]
    theirs = [tensor.detach().clone().requires_grad_() for tensor in ours]
    teacher, centre = cosines(draw(2 * IMAGES, 8), draw(PROTOTYPES, 8)), 0.1 * draw(1, PROTOTYPES)[0]
    reference = dino_loss(output_dim=PROTOTYPES, teacher_temp=0.05, student_temp=0.1, center_momentum=0.9)
    reference.center = centre.reshape(1, 1, -1).clone()

    views = list(cosines(*theirs).split(IMAGES))
    expected = reference(list(teacher.chunk(2)), views, teacher_temp=0.05)
    expected.backward()
    result = stage_losses([ours[0]], [ours[1]], teacher_probabilities(teacher, centre, 0.05), 0.1).mean()
    result.backward()

    assert abs(result.item() - expected.item()) < 1e-6
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=0, atol=1e-6)
    torch.testing.assert_close(updated_centre(centre, teacher.mean(0), 0.9), reference.center.reshape(-1))


@pytest.mark.usefixtures("pieces")
def test_loss_of_several_stages_is_the_mean_of_their_dino_losses(dino_loss, draw):
    teacher = cosines(draw(2 * IMAGES, 8), draw(PROTOTYPES, 8))
    students = [(draw(2 * IMAGES, 8), draw(PROTOTYPES, 8)) for _ in range(3)]
    losses = stage_losses(
        *zip(*students, strict=True), teacher_probabilities(teacher, torch.zeros(PROTOTYPES), 0.04), 0.1
    )
    expected = [
        dino_loss(output_dim=PROTOTYPES, teacher_temp=0.04)(
            list(teacher.chunk(2)), list(cosines(*student).chunk(2)), teacher_temp=0.04
        )
        for student in students
    ]
    torch.testing.assert_close(losses, torch.stack(expected), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("pieces")
def test_cross_entropy_of_a_distribution_with_itself_is_its_entropy(draw):
    embeddings, prototypes = draw(6, 8), draw(PROTOTYPES, 8)
    probabilities = torch.softmax(cosines(embeddings, prototypes) / 0.1, 1)
    expected = torch.distributions.Categorical(probs=probabilities).entropy().mean()
    torch.testing.assert_close(cross_entropy(probabilities, embeddings, prototypes, 0.1), expected)


@pytest.mark.usefixtures("pieces")
def test_gradient_of_the_cross_entropy_is_that_of_finite_differences(draw):
    probabilities = torch.softmax(draw(2, PROTOTYPES), 1)
    variables = (draw(6, 5).requires_grad_(), draw(PROTOTYPES, 5).requires_grad_())
    assert torch.autograd.gradcheck(lambda e, w: cross_entropy(probabilities, e, w, 0.3), variables)


def test_teacher_is_centred_before_it_is_sharpened():
    teacher, centre = torch.tensor([[0.5, 0.3]]), torch.tensor([0.4, 0.0])
    expected = torch.exp(torch.tensor([0.1, 0.3]) / 0.05)
    torch.testing.assert_close(teacher_probabilities(teacher, centre, 0.05)[0], expected / expected.sum())


def test_loss_is_finite_where_the_naive_softmax_would_overflow():
    embeddings, prototypes = torch.eye(2), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    targets = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert torch.isfinite(stage_losses([embeddings], [prototypes], targets, 1e-3)).all()


def test_centre_follows_the_batch_mean_as_computed_by_hand():
    centre = updated_centre(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 2.0], [4.0, 0.0]]).mean(0), 0.9)
    torch.testing.assert_close(centre, torch.tensor([1.0 * 0.9 + 2.0 * 0.1, 1.0 * 0.1]))
