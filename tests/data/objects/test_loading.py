import torch

from dbot.data.objects.loading import Origin, TrainingObjects, ValidationViews, collate
from dbot.params.dense import DetectAugmentation, DetectInference
from tests.data.objects.conftest import HEIGHT, WIDTH, CocoSet


def test_training_takes_images_with_objects_alone(coco: CocoSet, augmentation: DetectAugmentation) -> None:
    images = TrainingObjects(coco.prepare(), augmentation, 0)
    assert [images[0, number][1]["image_id"] for number in range(len(images))] == [3, 7]


def test_a_view_depends_on_seed_epoch_and_image_alone(coco: CocoSet, augmentation: DetectAugmentation) -> None:
    manifest = coco.prepare()

    def views(seed: int, wheres: list[tuple[int, int]]) -> list[torch.Tensor]:
        images = TrainingObjects(manifest, augmentation, seed)
        return [torch.cat([image, target["masks"].amax(0, keepdim=True)]) for image, target in (images[where] for where in wheres)]

    wheres = [(0, 1), (1, 1), (2, 1), (3, 0)]
    forward = views(0, wheres)
    torch.rand(7)  # whatever was drawn in between
    backward = views(0, wheres[::-1])
    assert all(torch.equal(a, b) for a, b in zip(forward, reversed(backward), strict=True))
    assert len({view.shape for view in forward}) > 1, "another epoch, another view"
    assert any(a.shape != b.shape for a, b in zip(forward, views(1, wheres), strict=True)), "another seed, another view"


def test_validation_shows_every_image_to_one_process(coco: CocoSet, inference: DetectInference) -> None:
    manifest = coco.prepare()
    shares = [ValidationViews(manifest, inference, rank, 3) for rank in range(3)]
    seen = [share[number][1].image_id for share in shares for number in range(len(share))]
    assert sorted(seen) == [3, 5, 7, 9]


def test_views_of_evaluation_know_where_they_came_from(coco: CocoSet, inference: DetectInference) -> None:
    view, origin = ValidationViews(coco.prepare(), inference)[0]
    assert view.shape == (3, 64, 85)
    assert origin == Origin(image_id=3, height=HEIGHT, width=WIDTH, view_height=64, view_width=85)


def test_batches_are_lists(coco: CocoSet, augmentation: DetectAugmentation) -> None:
    images = TrainingObjects(coco.prepare(), augmentation, 0)
    batch, targets = collate([images[0, 0], images[0, 1]])
    assert [image.ndim for image in batch] == [3, 3]
    assert [target["image_id"] for target in targets] == [3, 7]
