from deploy.core.images.image_record import (
    ImageName,
    ImageNames,
    released,
    removable,
    with_user,
    without,
)

EDGE, APP, PUSHED = "py-cicd/base-edge:1", "py-cicd/app:2", "127.0.0.1:1/app@sha256:3"


def made_by(user: str, *references: str, names: ImageNames | None = None) -> ImageNames:
    found = names or {}
    for reference in references:
        found = with_user(found, reference, user, made=True)
    return found


def test_names_that_a_removed_sandbox_made_may_go_those_of_a_registry_first() -> None:
    names = made_by("blue", APP, EDGE, PUSHED)
    assert removable(names) == ()
    assert removable(released(names, "blue", [])) == (PUSHED, APP, EDGE)


def test_a_name_that_was_there_before_stays() -> None:
    names = with_user({}, EDGE, "blue", made=False)
    assert released(names, "blue", []) == {}


def test_a_name_that_another_sandbox_uses_goes_with_that_sandbox() -> None:
    names = with_user(made_by("blue", EDGE), EDGE, "red", made=False)
    names = released(names, "blue", ["red"])
    assert removable(names) == ()
    assert names == {EDGE: ImageName(made=True, users=frozenset({"red"}))}
    assert removable(released(names, "red", [])) == (EDGE,)


def test_a_sandbox_that_is_gone_without_ship_down_uses_nothing() -> None:
    names = made_by("gone", EDGE)
    assert removable(released(names, "blue", ["red"])) == (EDGE,)


def test_what_could_not_be_removed_is_tried_again_and_what_was_removed_is_forgotten() -> None:
    names = released(made_by("blue", EDGE, APP), "blue", [])
    names = without(names, [APP])
    assert removable(released(names, "red", [])) == (EDGE,)
