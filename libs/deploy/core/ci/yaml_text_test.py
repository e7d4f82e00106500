from deploy.core.ci.yaml_text import Plain, write

DOCUMENT: dict[str, Plain] = {
    "stages": ["hold", "e2e"],
    "word": "yes",
    "hold a.b": {"script": ["a: b # c", 'say "it"'], "empty": {}, "none": None, "count": 3},
    "rules": [{"if": "$A", "when": "never"}, {"variables": {"NO": "1"}}],
}


def test_document_is_readable_and_strings_are_quoted() -> None:
    assert write(DOCUMENT) == (
        'stages: ["hold", "e2e"]\n'
        'word: "yes"\n'
        '"hold a.b":\n'
        '  script: ["a: b # c", "say \\"it\\""]\n'
        "  empty: {}\n"
        "  none: null\n"
        "  count: 3\n"
        "rules:\n"
        '  - if: "$A"\n'
        '    when: "never"\n'
        "  - variables:\n"
        '      NO: "1"\n'
    )
