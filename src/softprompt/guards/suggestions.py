"""What a name that there is not was probably meant to be: "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable

# What other libraries and papers call it, folded; and our name.
_CALLED = {
    folded: ours
    for ours, theirs in {
        "accumulate": "gradaccum accumulationsteps gradientaccumulation gradientaccumulationsteps",
        "alpha": "loraalpha",
        "batch_size": "bs trainbatchsize perdevicetrainbatchsize",
        "epochs": "ep nepochs numepochs numtrainepochs maxepochs",
        "eval_batch_size": "evalbs perdeviceevalbatchsize validbatchsize",
        "gradient_checkpointing": "activationcheckpointing",
        "learning_rate": "lr rate stepsize",
        "max_grad_norm": "clip gradclip clipnorm gradientclipping gradientclipval",
        "max_length": "maxlen maxseqlen maxseqlength maxsequencelength maxtokens modelmaxlength seqlen",
        "max_new_tokens": "maxtargetlength maxanswerlength newtokens",
        "max_steps": "steps nsteps numsteps numtrainsteps totalsteps",
        "num_virtual_tokens": "k nprompttokens ntokens numtokens numsofttokens prefixlen prefixlength "
        "preseqlen promptlen promptlength softprompttokens virtualtokens",
        "optimizer": "optim opt",
        "out": "outputdir outdir savedir",
        "patience": "earlystopping earlystoppingpatience",
        "rank": "r lorar lorarank",
        "schedule": "scheduler lrscheduler lrschedulertype lrschedule",
        "warmup_ratio": "warmup",
        "weight_decay": "wd decay",
    }.items()
    for folded in theirs.split()
}
_LEAST = 3  # letters with which a name is told from its beginning


def folded(name: str) -> str:
    """A name without case, hyphens, underscores and spaces: SST-2 and sst2 are one."""
    return "".join(character for character in name.lower() if character.isalnum())


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice that a name was probably meant to be, or None where none is near.

    It is another spelling of the choice, what the field calls it (`lr`), the beginning of that choice alone, or a
    few letters away.

    Example:
        >>> from softprompt.guards.suggestions import nearest
        >>> nearest("prompttuning", ["lora", "prompt_tuning"]), nearest("lr", ["learning_rate", "epochs"])
        ('prompt_tuning', 'learning_rate')
    """
    import difflib

    meant = folded(name)
    known = {folded(choice): choice for choice in choices}
    if meant in known:
        return known[meant]
    called = folded(_CALLED.get(meant, ""))
    if called in known:
        return known[called]
    begun = [key for key in known if len(meant) >= _LEAST and key.startswith(meant)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(meant, known, n=1)
    return known[near[0]] if near else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """The question for a message, with the space that follows it; nothing where no choice is near."""
    near = nearest(name, choices)
    return "" if near is None else f"did you mean {near!r}? "
