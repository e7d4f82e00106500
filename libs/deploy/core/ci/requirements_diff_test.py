from deploy.core.ci.requirements_diff import (
    RequirementsDiff,
    diff_locks,
    diff_requirements,
    project_of,
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


def names(*changed: str, removed: tuple[str, ...] = ()) -> RequirementsDiff:
    return RequirementsDiff(frozenset(changed), frozenset(removed))


def test_changed_pin_is_a_changed_requirement() -> None:
    assert diff_locks(LOCK, LOCK.replace("psutil==7.0", "psutil==7.1")) == names("psutil")


def test_changed_hash_counts() -> None:
    assert diff_locks(LOCK, LOCK.replace("sha256:ab", "sha256:ac")) == names("flask")


def test_changed_pin_affects_all_requirements_that_depend_on_it() -> None:
    after = LOCK.replace("jinja2==3.1.5", "jinja2==3.1.6")
    assert diff_locks(LOCK, after) == names("flask", "moto")


def test_changed_annotation_alone_is_no_change() -> None:
    assert diff_locks(LOCK, LOCK.replace("# via flask, moto", "# via flask")) == names()


def test_requirements_that_depended_on_the_pin_before_are_affected_too() -> None:
    after = LOCK.replace("jinja2==3.1.5", "jinja2==3.1.6").replace(
        "# via flask, moto", "# via flask"
    )
    assert diff_locks(LOCK, after) == names("flask", "moto")


def test_removed_requirement_is_listed_separately() -> None:
    after = LOCK[: LOCK.index("psutil")]
    assert diff_locks(LOCK, after) == names(removed=("psutil",))


def test_lock_without_annotations_gives_none() -> None:
    plain = "\n".join(line for line in LOCK.splitlines() if "# via" not in line)
    assert diff_locks(plain, plain.replace("7.0", "7.1")) is None
    assert diff_locks(plain, LOCK) is None


def test_lines_that_are_no_pins_give_none() -> None:
    assert diff_locks(LOCK, f"--index-url https://example.org\n{LOCK}") is None
    assert diff_locks(LOCK, LOCK + LOCK) is None
    assert diff_locks(LOCK, f"{{}}\n{LOCK}") is None


def test_uvs_other_annotation_style_gives_none() -> None:
    split = LOCK.replace("    # via flask, moto", "    # via\n    #   flask\n    #   moto")
    assert diff_locks(split, split.replace("3.1.5", "3.1.6")) is None


def test_requirements_files_are_compared_by_project() -> None:
    before = "# services\nflask\npsutil>=6  # machine\nboto3-stubs[ecr]\nrich\n"
    after = "flask\n# tools\npsutil>=7\nBoto3_Stubs[ecr,s3]\nhttpx\n"
    assert diff_requirements(before, after) == names(
        "psutil", "boto3-stubs", "httpx", removed=("rich",)
    )


def test_option_in_a_requirements_file_gives_none() -> None:
    assert diff_requirements("flask\n", "-r other.txt\nflask\n") is None


def test_project_name_is_normalised() -> None:
    assert project_of(" Axe.Playwright_python[x]>=1 ") == "axe-playwright-python"
    assert project_of("--hash=sha256:aa") is None
