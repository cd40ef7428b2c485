"""levertune: fine-tune a language model on scarce data by leverage learning (TELL)."""

__version__ = "0.1.0"
