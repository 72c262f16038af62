"""Banking77: 13,083 questions to an online bank in 77 intents, from its two csv files.

Download ``train.csv`` and ``test.csv`` (folder ``banking_data`` of the repository below), then run
``python -m synimpute_hf.dataset_scripts.banking77 --data-dir FOLDER --output DIR``.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from synimpute_hf.errors import ColumnError, DataError, nearest

from . import base

__all__ = ["NAMES", "Banking77", "Banking77Config"]

HOMEPAGE = "https://github.com/PolyAI-LDN/task-specific-datasets"
CITATION = """\
@inproceedings{casanueva2020efficient,
  author = {Casanueva, I{\\~n}igo and Tem{\\v{c}}inas, Tadas and Gerz, Daniela and Henderson, Matthew and
    Vuli{\\'c}, Ivan},
  title = {Efficient Intent Detection with Dual Sentence Encoders},
  booktitle = {Proceedings of the 2nd Workshop on Natural Language Processing for Conversational AI},
  year = {2020},
  url = {https://arxiv.org/abs/2003.04807}
}"""
COLUMNS = ("text", "category")
_WORDS = """
activate_my_card age_limit apple_pay_or_google_pay atm_support automatic_top_up
balance_not_updated_after_bank_transfer balance_not_updated_after_cheque_or_cash_deposit beneficiary_not_allowed
cancel_transfer card_about_to_expire card_acceptance card_arrival card_delivery_estimate card_linking card_not_working
card_payment_fee_charged card_payment_not_recognised card_payment_wrong_exchange_rate card_swallowed
cash_withdrawal_charge cash_withdrawal_not_recognised change_pin compromised_card contactless_not_working
country_support declined_card_payment declined_cash_withdrawal declined_transfer direct_debit_payment_not_recognised
disposable_card_limits edit_personal_details exchange_charge exchange_rate exchange_via_app extra_charge_on_statement
failed_transfer fiat_currency_support get_disposable_virtual_card get_physical_card getting_spare_card
getting_virtual_card lost_or_stolen_card lost_or_stolen_phone order_physical_card passcode_forgotten
pending_card_payment pending_cash_withdrawal pending_top_up pending_transfer pin_blocked receiving_money
Refund_not_showing_up request_refund reverted_card_payment? supported_cards_and_currencies terminate_account
top_up_by_bank_transfer_charge top_up_by_card_charge top_up_by_cash_or_cheque top_up_failed top_up_limits
top_up_reverted topping_up_by_card transaction_charged_twice transfer_fee_charged transfer_into_account
transfer_not_received_by_recipient transfer_timing unable_to_verify_identity verify_my_identity verify_source_of_funds
verify_top_up virtual_card_not_working visa_or_mastercard why_verify_identity wrong_amount_of_cash_received
wrong_exchange_rate_for_cash_withdrawal
"""
NAMES = _WORDS.split()
"""The 77 intents, sorted without regard to upper and lower case."""


@dataclass
class Banking77Config(base.FilesConfig):
    """Where the two files are."""

    def files(self) -> list[Path]:
        """Return the csv files of training and test."""
        folder = Path(self.data_dir or "")
        files = [folder / "train.csv", folder / "test.csv"]
        missing = [path.name for path in files if not path.is_file()]
        if self.data_dir is None or missing:
            raise DataError(
                f"Expected train.csv and test.csv of {HOMEPAGE} (banking_data) in --data-dir; "
                + (f"{self.data_dir!r} lacks {' and '.join(missing)}." if self.data_dir else "no folder was named.")
            )
        return files


class Banking77(base.LocalBuilder):
    """Builds the dataset from its csv files."""

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = Banking77Config

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Questions of customers to an online bank, each with one of 77 fine-grained intents.",
            features=datasets.Features(
                {
                    "id": datasets.Value("string"),
                    "text": datasets.Value("string"),
                    "label": datasets.ClassLabel(names=NAMES),
                }
            ),
            homepage=HOMEPAGE,
            license="cc-by-4.0",
            citation=CITATION,
        )

    def card(self) -> base.Card:
        """Return what the card says beside the ``DatasetInfo``."""
        return base.Card(
            title="Banking77",
            language=("en",),
            source="Built from the csv files of PolyAI's repository; texts and intents are unchanged, ids were added.",
            rights="Licence: CC BY 4.0; cite the authors.",
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(split, gen_kwargs={"path": str(path)})
            for split, path in zip((datasets.Split.TRAIN, datasets.Split.TEST), self.config.files(), strict=True)
        ]

    def _generate_examples(self, path: str) -> Iterator[tuple[str, dict[str, str]]]:
        name = Path(path).name
        with open(path, encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ColumnError(
                    f"{name} should have the columns text and category; it has {', '.join(reader.fieldnames or ())}."
                )
            for number, row in enumerate(reader):
                if row["category"] not in NAMES:
                    raise DataError(
                        f"{name}, line {reader.line_num}: {row['category']!r} is none of the 77 intents."
                        f"{nearest(str(row['category']), NAMES)} Download the file anew."
                    )
                key = f"{name.removesuffix('.csv')}-{number}"
                yield key, {"id": key, "text": row["text"], "label": row["category"]}


def _main(
    data_dir: base.DataDir,
    output: base.Output = None,
    push_to_hub: base.PushToHub = None,
    public: base.Public = False,
) -> None:
    """Turn the csv files of banking77 into a dataset."""
    with tempfile.TemporaryDirectory() as cache:
        base.deliver(Banking77(cache_dir=cache, data_dir=str(data_dir)), output, push_to_hub, public)


if __name__ == "__main__":
    base.run(_main)
