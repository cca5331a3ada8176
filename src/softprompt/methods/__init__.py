"""One file a paper, each a small module over a site."""

from softprompt.methods.base import Method, Recipe, Setting
from softprompt.methods.baselines import FullFinetuning, HardPrompt, HeadOnly
from softprompt.methods.capt import CaPT
from softprompt.methods.deep_prompt import DeepPrompt
from softprompt.methods.p_tuning_v2 import PTuningV2
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import method, methods, register

__all__ = [
    "CaPT",
    "DeepPrompt",
    "FullFinetuning",
    "HardPrompt",
    "HeadOnly",
    "Method",
    "PTuningV2",
    "PromptTuning",
    "Recipe",
    "Setting",
    "method",
    "methods",
    "register",
]
