from deploy.core.ci.requirements_diff import (
    Touched,
    project_of,
    touched_by_lock,
    touched_by_requirements,
)

LOCK = """\
flask==3.1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:ab
    # via -r requirements.txt
jinja2==3.1.5 \\
    --hash=sha256:ba
    # via flask, moto
moto[server]==5.2 \\
    --hash=sha256:ca
    # via -r requirements.txt
psutil==7.0 \\
    --hash=sha256:da
    # via -r requirements.txt
"""


def names(*there: str, gone: tuple[str, ...] = ()) -> Touched:
    return Touched(frozenset(there), frozenset(gone))


def test_a_pin_touches_itself() -> None:
    assert touched_by_lock(LOCK, LOCK.replace("psutil==7.0", "psutil==7.1")) == names("psutil")


def test_another_hash_is_another_pin() -> None:
    assert touched_by_lock(LOCK, LOCK.replace("sha256:ab", "sha256:ac")) == names("flask")


def test_a_pin_of_others_touches_all_that_need_it() -> None:
    after = LOCK.replace("jinja2==3.1.5", "jinja2==3.1.6")
    assert touched_by_lock(LOCK, after) == names("flask", "moto")


def test_a_pin_that_only_changes_who_needs_it_is_no_change() -> None:
    assert touched_by_lock(LOCK, LOCK.replace("# via flask, moto", "# via flask")) == names()


def test_who_needed_a_pin_before_is_touched_too() -> None:
    after = LOCK.replace("jinja2==3.1.5", "jinja2==3.1.6").replace(
        "# via flask, moto", "# via flask"
    )
    assert touched_by_lock(LOCK, after) == names("flask", "moto")


def test_a_pin_that_went_is_told_apart() -> None:
    after = LOCK[: LOCK.index("psutil")]
    assert touched_by_lock(LOCK, after) == names(gone=("psutil",))


def test_a_lock_that_does_not_say_who_needs_what_tells_nothing() -> None:
    plain = "\n".join(line for line in LOCK.splitlines() if "# via" not in line)
    assert touched_by_lock(plain, plain.replace("7.0", "7.1")) is None
    assert touched_by_lock(plain, LOCK) is None


def test_what_is_no_pin_tells_nothing() -> None:
    assert touched_by_lock(LOCK, f"--index-url https://example.org\n{LOCK}") is None
    assert touched_by_lock(LOCK, LOCK + LOCK) is None
    assert touched_by_lock(LOCK, f"{{}}\n{LOCK}") is None


def test_uv_s_other_style_of_annotation_tells_nothing_rather_than_less() -> None:
    split = LOCK.replace("    # via flask, moto", "    # via\n    #   flask\n    #   moto")
    assert touched_by_lock(split, split.replace("3.1.5", "3.1.6")) is None


def test_lines_of_requirements_are_compared_by_project() -> None:
    before = "# services\nflask\npsutil>=6  # machine\nboto3-stubs[ecr]\nrich\n"
    after = "flask\n# tools\npsutil>=7\nBoto3_Stubs[ecr,s3]\nhttpx\n"
    assert touched_by_requirements(before, after) == names(
        "psutil", "boto3-stubs", "httpx", gone=("rich",)
    )


def test_an_option_among_requirements_tells_nothing() -> None:
    assert touched_by_requirements("flask\n", "-r other.txt\nflask\n") is None


def test_a_project_s_name_is_normalised() -> None:
    assert project_of(" Axe.Playwright_python[x]>=1 ") == "axe-playwright-python"
    assert project_of("--hash=sha256:aa") == ""
