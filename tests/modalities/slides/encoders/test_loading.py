"""Encoders: where weights come from, what is refused, and that they compute what they should."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from survfuse.config.slides import SlideConfig
from survfuse.core.device import choose_device
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.modalities.slides.encoders import loading, networks
from survfuse.modalities.slides.encoders.encoder import Encoder, single_threaded_operations
from survfuse.modalities.slides.encoders.loading import identify, load_encoder

SMALL = "test_resnet"


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 40, (5, 256, 256, 3))
    colour = np.random.default_rng(1).uniform(60, 230, (5, 1, 1, 3))
    return np.clip(colour + noise, 0, 255).astype(np.uint8)


HALF = (0.5, 0.5, 0.5)
OF_THE_WEIGHTS = {"mean": HALF, "std": HALF, "input_px": 160, "pooling": "none"}


def encoder(**settings: object) -> Encoder:
    known = OF_THE_WEIGHTS if "weights" in settings else {}
    config = SlideConfig.model_validate({"encoder": SMALL, **known, **settings})
    return load_encoder(config.tile_encoder, identify(config.tile_encoder), "cpu")


def plain(name: str, **options: object) -> nn.Module:
    """The network as timm builds it, without anything of ours."""
    return networks.timm.create_model(name, pretrained=False, **options).eval()


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALVES = HALF, HALF


def normalised(
    tiles: np.ndarray, side: int, colours: tuple[tuple[float, ...], tuple[float, ...]]
) -> torch.Tensor:
    resized = [cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in tiles]
    pixels = np.stack(resized) / 255
    scaled = (pixels - np.array(colours[0])) / np.array(colours[1])
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2)).float()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The least similar pair of rows."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    products = (a * b).sum(axis=1)
    return float((products / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def test_fast_embeddings_are_those_of_the_plain_network(tmp_path: Path, tiles: np.ndarray) -> None:
    torch.manual_seed(3)
    network = plain(SMALL)
    for module in network.modules():  # statistics as training leaves them
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    fast = encoder(weights=tmp_path / "weights.safetensors")
    with torch.inference_mode():
        expected = network.forward_head(
            network.forward_features(normalised(tiles, 160, HALVES)), pre_logits=True
        ).numpy()
    found = fast.embed(tiles)
    assert (fast.dim, found.shape, found.dtype) == (96, (5, 96), np.float32)
    assert cosine(found, expected) > 0.9999
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_clams_truncated_resnet(tmp_path: Path, tiles: np.ndarray) -> None:
    torch.manual_seed(3)
    whole = plain("resnet50")
    torch.save(whole.state_dict(), tmp_path / "resnet50.pt")
    unset = dict.fromkeys(OF_THE_WEIGHTS)  # what CLAM takes is known
    fast = encoder(encoder="resnet50_trunc", weights=tmp_path / "resnet50.pt", **unset)
    with torch.inference_mode():
        pixels = normalised(tiles[:2], 224, IMAGENET)
        hidden = whole.maxpool(whole.act1(whole.bn1(whole.conv1(pixels))))
        hidden = whole.layer3(whole.layer2(whole.layer1(hidden)))
        expected = hidden.mean(dim=(2, 3)).numpy()
    found = fast.embed(tiles[:2])
    assert found.shape == (2, 1024)
    assert cosine(found, expected) > 0.9999


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_stored_weights_give_what_the_same_untrained_weights_give(
    tmp_path: Path, tiles: np.ndarray, suffix: str
) -> None:
    untrained = encoder(untrained=True)
    torch.manual_seed(loading.UNTRAINED_SEED)
    network = plain(SMALL, num_classes=0)
    networks.open_residual_branches(network)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(network.state_dict(), path)
    else:
        save_file(network.state_dict(), path)
    loaded = encoder(weights=path)
    np.testing.assert_array_equal(loaded.embed(tiles), untrained.embed(tiles))
    assert "untrained" in untrained.identity.label
    assert "untrained" not in loaded.identity.label
    assert f"{SMALL} (weights {loaded.identity.weights_sha256[:12]}, " in loaded.identity.label


def test_untrained_weights_do_not_depend_on_the_global_seed(tiles: np.ndarray) -> None:
    embeddings = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        embeddings.append(encoder(untrained=True).embed(tiles))
        assert torch.initial_seed() == seed  # nor change it
    np.testing.assert_array_equal(*embeddings)
    assert (embeddings[0].std(axis=0) > 0).mean() > 0.9  # most numbers tell tiles apart


def test_untrained_residual_branches_are_heard() -> None:
    network = plain("resnet10t", num_classes=0)
    networks.open_residual_branches(network)
    assert all(
        (module.weight == 1).all()
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d)
    )


def test_one_by_one_is_the_same_as_together(tiles: np.ndarray) -> None:
    small = encoder(untrained=True)
    single = np.concatenate([small.embed(tiles[i : i + 1]) for i in range(len(tiles))])
    np.testing.assert_allclose(single, small.embed(tiles), rtol=1e-4, atol=1e-6)


def test_a_transformer_is_an_encoder_too(tiles: np.ndarray) -> None:
    assert encoder(encoder="test_vit", untrained=True).embed(tiles).shape == (5, 64)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    other = plain("test_vit")
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UserInputError, match="do not fit test_resnet: 1"):
        encoder(weights=tmp_path / "other.safetensors")
    fewer = plain(SMALL).state_dict()
    fewer.pop("stem.conv1.weight" if "stem.conv1.weight" in fewer else next(iter(fewer)))
    save_file(fewer, tmp_path / "fewer.safetensors")
    with pytest.raises(UserInputError, match=r"1 tensors are missing.*\(missing\)"):
        encoder(weights=tmp_path / "fewer.safetensors")


@pytest.mark.parametrize("name", ["broken.safetensors", "broken.pt"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(UserInputError, match="plain named tensors"):
        encoder(weights=tmp_path / name)


def test_pickled_code_is_never_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"conv1.weight": Attack()}, tmp_path / "evil.pt")
    with pytest.raises(UserInputError, match=r"evil\.pt"):
        encoder(weights=tmp_path / "evil.pt")
    assert not (tmp_path / "executed").exists()


def test_missing_weights_and_devices_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match="weights of the encoder are not set") as error:
        identify(SlideConfig().tile_encoder)
    assert error.value.exit_code == 3
    with pytest.raises(MissingResourceError, match="are not there"):
        identify(SlideConfig(weights=tmp_path / "none.pt", **OF_THE_WEIGHTS).tile_encoder)
    with pytest.raises(UserInputError, match="not both"):
        identify(SlideConfig(weights=tmp_path / "none.pt", untrained=True).tile_encoder)
    assert choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == torch.device("cpu")
        with pytest.raises(MissingResourceError, match="no GPU"):
            choose_device("cuda")


@pytest.mark.parametrize("name", ["no_such_model", "hf-hub:owner/model", "../resnet50"])
def test_unknown_encoders_are_refused(name: str) -> None:
    with pytest.raises(UserInputError, match="nor a model of timm"):
        identify(SlideConfig(encoder=name, untrained=True).tile_encoder)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with single_threaded_operations():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_slide_modules_do_not_import_torch() -> None:
    code = (
        "import sys; import survfuse.modalities.slides.batch, survfuse.modalities.slides.store; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_options_build_the_network_that_the_weights_were_trained_with(
    tmp_path: Path, tiles: np.ndarray
) -> None:
    """Pathology encoders differ from timm's defaults, in layer scale and in the kind of MLP."""
    options = {"init_values": 0.5, "mlp_layer": "timm.layers.SwiGLUPacked"}
    stored = plain("test_vit", init_values=0.5, mlp_layer=networks.timm.layers.SwiGLUPacked)
    save_file(stored.state_dict(), tmp_path / "vit.safetensors")
    settings = {"encoder": "test_vit", "weights": tmp_path / "vit.safetensors"}
    settings |= {"mean": IMAGENET[0], "std": IMAGENET[1]}
    with pytest.raises(UserInputError):
        encoder(**settings)
    ours = encoder(**settings, encoder_options=options)
    assert "init_values" in ours.identity.settings and len(ours.identity.name) < 32
    with torch.inference_mode():
        pixels = normalised(tiles, 160, IMAGENET)
        expected = stored.forward_head(stored.forward_features(pixels), pre_logits=True).numpy()
    assert cosine(ours.embed(tiles), expected) > 0.999


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"no_such_option": 1}, "cannot be built"),
        ({"mlp_layer": "timm.layers.NoSuchLayer"}, "there is no timm.layers.NoSuchLayer"),
    ],
)
def test_options_that_the_network_does_not_take_are_explained(options: dict, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        encoder(encoder="test_vit", untrained=True, encoder_options=options)
    with pytest.raises(UserInputError, match="takes no arguments"):
        identify(SlideConfig(untrained=True, encoder_options=options).tile_encoder)


@pytest.mark.parametrize("unset", ["mean", "std", "input_px", "pooling"])
def test_statistics_of_given_weights_are_never_guessed(tmp_path: Path, unset: str) -> None:
    """timm's tag says 0.5 for architectures whose pathology weights were trained on ImageNet's."""
    save_file(plain(SMALL).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UserInputError, match=f"slides: set {unset} as the page") as error:
        encoder(weights=tmp_path / "weights.safetensors", **{unset: None})
    assert error.value.exit_code == 2


def test_statistics_of_the_configuration_are_used_and_named(tiles: np.ndarray) -> None:
    ours = encoder(untrained=True, mean=IMAGENET[0], std=IMAGENET[1], input_px=96)
    usual = encoder(untrained=True)
    with torch.inference_mode():
        expected = usual.network(normalised(tiles, 96, IMAGENET)).numpy()
    assert cosine(ours.embed(tiles), expected) > 0.9999
    assert cosine(ours.embed(tiles), usual.embed(tiles)) < 0.9999
    assert ours.identity.name != usual.identity.name
    assert ours.identity.label != usual.identity.label
    assert '"mean": [0.485, 0.456, 0.406]' in ours.identity.settings


@pytest.mark.parametrize("mean", [(0.5, 0.5), (128, 128, 128), (-0.1, 0.5, 0.5), "imagenet"])
def test_statistics_on_another_scale_are_refused(mean: object) -> None:
    with pytest.raises(ValueError, match="mean"):
        SlideConfig.model_validate({"mean": mean})
    with pytest.raises(ValueError, match="std"):
        SlideConfig(std=(0.2, 0.0, 0.2))


@pytest.mark.parametrize(
    ("pooling", "width"), [("class_token", 64), ("patch_mean", 64), ("class_and_patch_mean", 128)]
)
def test_tokens_are_pooled_as_asked(tiles: np.ndarray, pooling: str, width: int) -> None:
    found = encoder(encoder="test_vit", untrained=True, pooling=pooling).embed(tiles)
    assert found.shape == (5, width)
    torch.manual_seed(loading.UNTRAINED_SEED)
    network = plain("test_vit", num_classes=0)
    with torch.inference_mode():
        tokens = network.forward_features(normalised(tiles, 160, HALVES)).numpy()
    parts = {"class_token": tokens[:, 0], "patch_mean": tokens[:, 1:].mean(axis=1)}
    expected = parts.get(pooling, np.concatenate(list(parts.values()), axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"encoder": "test_vit", "encoder_options": {"global_pool": ""}}, r"\(101, 64\) numbers"),
        ({"encoder": "vit_tiny_patch16_224", "input_px": 96}, "cannot embed tiles of 96 pixels"),
        ({"pooling": "patch_mean"}, "has no tokens to pool"),
        ({"pooling": "class_token"}, "has no class token"),
    ],
)
def test_what_gives_no_vector_per_tile_is_refused_before_the_first_slide(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(UserInputError, match=said):
        encoder(untrained=True, **settings)


def test_directory_names_stay_short() -> None:
    options = {f"no_such_option_{i}": "x" * 50 for i in range(20)}
    config = SlideConfig(encoder="test_vit", untrained=True, encoder_options=options)
    name = identify(config.tile_encoder).name
    assert name.startswith("test_vit_") and len(name) < 32
    assert name != identify(SlideConfig(encoder="test_vit", untrained=True).tile_encoder).name
