"""What ``polos_redact`` names is masked wherever a value is shown."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import BaseModel, ValidationError, field_validator

from polos.codec import masked_field, redacted, redacted_text

NAMES = ["card_number", "Password"]


class Card(BaseModel):
    card_number: int
    owner: str = "Ann"


@dataclass
class Login:
    user: str
    PASSWORD: str


def test_fields_are_masked_at_any_depth_in_any_case() -> None:
    value = {
        "CARD_NUMBER": {"whole": ["4111"]},
        "lines": [{"password": None, "n": 1}, ({"deep": [{"Password": "x"}]},)],
        "passwords": "another name",
    }
    assert redacted(value, NAMES) == {
        "CARD_NUMBER": "***",
        "lines": [{"password": "***", "n": 1}, [{"deep": [{"Password": "***"}]}]],
        "passwords": "another name",
    }


def test_models_and_dataclasses_are_looked_into() -> None:
    value = {"card": Card(card_number=4111), "login": [Login("ann", "x")]}
    assert redacted(value, NAMES) == {
        "card": {"card_number": "***", "owner": "Ann"},
        "login": [{"user": "ann", "PASSWORD": "***"}],
    }


def test_without_names_a_value_is_what_it_was() -> None:
    value = Card(card_number=1)
    assert redacted(value, ()) is value
    assert redacted_text("password=x", ()) == "password=x"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("{'password': 'x', 'n': 1}", "{'password': '***', 'n': 1}"),
        ('{"password": "x\\"y", "n": 1}', '{"password": "***", "n": 1}'),
        ('"{\\"password\\": \\"x y\\", 1}"', '"{\\"password\\": ***, 1}"'),
        ("{'password': {'a': ['}', 1]}, 'n': 1}", "{'password': ***, 'n': 1}"),
        ("Card(card_number=4111, owner='Ann')", "Card(card_number=***, owner='Ann')"),
        ("password=Secret(a=(1, 2), b=')'), n=1", "password=***, n=1"),
        ("PASSWORD: hunter2; go on", "PASSWORD: ***; go on"),
        ("/login?password=hunter2&next=/", "/login?password=***&next=/"),
        ("{'password': b'x y', 'n': 1}", "{'password': ***, 'n': 1}"),
        ("password=<Secret 'x y'>, n=1", "password=***, n=1"),
        ("card_number=4111 1111 1111 1111 is used", "card_number=*** is used"),
        # Cut off by whoever made the repr.
        ("{'password': 'hunt...", "{'password': '***'"),
        ("{'password': {'a': 'hunt", "{'password': ***"),
        ("{'password':", "{'password':***"),
        # Other names, and no values.
        ("old_password='x' and passwords='y'", "old_password='x' and passwords='y'"),
        ("wrong password == right", "wrong password == right"),
        ("the password is wrong", "the password is wrong"),
    ],
)
def test_what_follows_a_name_in_a_text_is_masked(text: str, masked: str) -> None:
    assert redacted_text(text, NAMES) == masked


def test_what_pydantic_got_for_such_a_field_is_masked() -> None:
    with pytest.raises(ValidationError) as raised:
        Card.model_validate({"card_number": "4111x", "owner": 7})
    text = redacted_text(str(raised.value), NAMES)
    assert "4111" not in text
    assert "input_value='***', input_type=str" in text
    assert "input_value=7" in text


def test_what_pydantic_got_is_masked_behind_an_error_of_several_lines() -> None:
    class Strict(BaseModel):
        password: str
        owner: str

        @field_validator("password")
        @classmethod
        def check(cls, _: str) -> str:
            raise ValueError("too weak:\n- no digit\n\n- too short")

    with pytest.raises(ValidationError) as raised:
        Strict.model_validate({"password": "hunter", "owner": 7})
    text = redacted_text(str(raised.value), NAMES)
    assert "hunter" not in text
    assert "input_value=7" in text


def test_long_texts_take_no_long_time() -> None:
    text = "password " * 20_000 + "password=" + "(" * 50_000
    assert redacted_text(text, NAMES).endswith("password=***")
    assert redacted_text("password\n" * 20_000, NAMES) == "password\n" * 20_000


def test_a_mask_that_is_sent_back_is_found() -> None:
    sent = {"a": [{"n": "***"}, {"PASSWORD": "***"}], "password": "real"}
    assert masked_field(sent, NAMES) == "a.PASSWORD"
    for fine in ({"n": "***"}, {"password": "****"}, ["***"], "***", None, {"password": None}):
        assert masked_field(fine, NAMES) == ""
    assert masked_field(sent, ()) == ""
