"""A tiny masked language model: real transformers code, random weights, a WordPiece vocabulary trained on the spot."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]"]
TEXTS = [
    "The old bridge over the river was closed because nobody had paid for its repair.",
    "Our parents still remember the summers when every shop in this street was open.",
    "Give the villages their schools back, and the young people will come home again!",
    "In those days a letter took a week, and we read it twice before we answered it.",
    "They tore down the mill, the tower and the well; only the name of the square is left.",
    "What was good enough for our grandfathers should be good enough for this council.",
]


def make_tokenizer(texts=TEXTS):
    """Return a WordPiece tokenizer with BERT's special tokens."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def save_masked_lm(folder, kind="Bert", auto="AutoModelForMaskedLM", positions=64, **options):
    """Write a model of a kind, such as ``Bert`` or ``Roberta``, with its tokenizer; returns the folder's path."""
    tokenizer = make_tokenizer()
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), max_position_embeddings=positions, pad_token_id=0, **{**sizes, **options}
    )
    torch.manual_seed(0)
    model = getattr(transformers, auto).from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)  # a distribution with peaks, as a trained model has
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
