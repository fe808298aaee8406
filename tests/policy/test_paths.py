import pytest

from gateway.policy.operation import Endpoint, get, grouped
from gateway.policy.paths import Tree


def at(name: str, path: str, group: str = "g") -> dict[str, Endpoint]:
    (row,) = grouped(group, get(name, path))
    return {"GET": row}


@pytest.fixture
def tree() -> Tree:
    made = Tree()
    for name, path in {
        "videos": "/videos",
        "video": "/videos/{video_id}",
        "content": "/videos/{video_id}/content",
        "characters": "/videos/characters",
        "character": "/videos/characters/{character_id}",
        "model": "/models/{model}",
    }.items():
        made.add(path, at(name, path))
    made.add("/models", at("all", "/models", "other"))
    return made


@pytest.mark.parametrize(
    ("path", "name", "args"),
    [
        ("videos", "videos", {}),
        ("videos/v1", "video", {"video_id": "v1"}),
        ("videos/v1/content", "content", {"video_id": "v1"}),
        ("videos/characters", "characters", {}),
        ("videos/characters/c1", "character", {"character_id": "c1"}),
        ("videos/characters/content", "character", {"character_id": "content"}),
        ("models/a", "model", {"model": "a"}),
        ("models/a/b/c", "model", {"model": "a/b/c"}),
        ("models/", "model", {"model": ""}),
    ],
)
def test_fixed_segments_win_and_a_model_takes_the_rest(
    tree: Tree, path: str, name: str, args: dict[str, str]
) -> None:
    methods, found = tree.find(path.split("/"))
    assert methods is not None
    assert (methods["GET"].name, found) == (name, args)


@pytest.mark.parametrize(
    "path", ["", "video", "videos/v1/contents", "videos/v1/content/x", "videos/characters/c/x"]
)
def test_what_is_not_there(tree: Tree, path: str) -> None:
    assert tree.find(path.split("/")) == (None, {})


def test_a_look_up_that_turns_back_leaves_no_argument_behind() -> None:
    tree = Tree()
    tree.add("/a/fixed/{x_id}/end", at("one", "/a/fixed/{x_id}/end"))
    tree.add("/a/{y_id}/{z_id}", at("two", "/a/{y_id}/{z_id}"))
    assert tree.find(["a", "fixed", "1"])[1] == {"y_id": "fixed", "z_id": "1"}


def test_an_unknown_path_has_its_known_places(tree: Tree) -> None:
    assert tree.follow(["videos", "v1", "frames", "7"]) == ("/videos/{video_id}/frames/7", {"video_id": "v1"})
    assert tree.follow(["new", "a:b"]) == ("/new/a:b", {})
    assert tree.follow(["{x}"]) == ("/%7Bx%7D", {})


def test_groups_of_what_is_below(tree: Tree) -> None:
    assert tree.groups("models") == {"g", "other"}
    assert tree.groups("new") == set()


def test_one_place_has_one_name(tree: Tree) -> None:
    with pytest.raises(ValueError, match=r"\{film_id\} and \{video_id\}"):
        tree.add("/videos/{film_id}/cut", at("cut", "/videos/{film_id}/cut"))
