"""A task: data that says how rows become text, which answers there are and how they are scored."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import path_of
from softprompt.guards.summaries import Summarised, Summary
from softprompt.tasks import loading
from softprompt.tasks.data import records, unlabelled
from softprompt.tasks.data.encodings import check_encoding
from softprompt.tasks.data.held import Table, place_of
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.splits import DataSource
from softprompt.tasks.guess.from_file import FromFile
from softprompt.tasks.rows import Row, Splits

_LOG = logging.getLogger(__name__)
_WORDS = 8  # label words that are shown


class Task(Summarised, FromFile):
    """What a task is; its rows come from the source that `load` attaches.

    Only `template` and, for classification, `labels` are needed. A list of labels means that the data's
    values are the words themselves. `metric="accuracy"` may stand for `metrics=("accuracy",)`.

    Attributes:
        name: a short name.
        description: one line.
        aliases: other names of the task, and of its published folder.
        folders: further names of its published folder.
        kind: what an answer is: a class, a number, one of the row's own choices, or free text.
        fields: the texts of a row; taken from the templates where not given.
        template: text with places (see `softprompt.tasks.text.template`), for causal text readouts and wherever
            `templates` has no other.
        templates: templates of single readouts.
        labels: the label word of each label value, in the order of the class indices. A regression may have
            two, the words of its least and greatest value (LM-BFF): their probabilities weigh the two.
        seq2seq_labels: label words for sequence-to-sequence models, where they differ.
        label_aliases: other spellings of a label value in files and on the hub.
        label_from_one: published files count the classes from 0 or from 1; the data's values tell which.
        positive: the label value that `f1` scores; the last one by default.
        bounds: least and greatest value of a regression's label.
        metrics: names of metrics, the main one first.
        columns: column names that may hold a field, ``label``, ``choices``, ``answers`` or ``group``.
        headerless: the columns of a file without a header line.
        files: names (without ending) of a split's file, the first that exists is taken.
        layout: how nested records become rows (see `softprompt.tasks.data.layouts`).
        skip_labels: values that mark a published row as one without an agreed label; such rows are left out.
        skip_incomplete: leave out (and note) rows with missing columns, which the published file has.
        blank_text: keep (and note) rows without text, which the published file has.
        references: rows of the same texts are one row with several right answers when they are scored, and each answer
            is taught as a row.
        vocabulary: of facts, the words that an answer may be; by default all tokens of the backbone.
        hub: where the hub holds it.
        package: the Python package that holds it.
        patterns: other templates and label words by name; see `softprompt.tasks.patterns` and `with_template`.

    Raises:
        SoftPromptError: in one line, what is wrong with the definition and how to mend it.

    Example:
        >>> task = sp.Task(template="{text} It was {mask}", labels={"0": "terrible", "1": "great"})
        >>> task.fields, task.metric
        (('text',), 'accuracy')
        >>> [row.fields for row in task.rows_of(["a moving film"])]
        [{'text': 'a moving film'}]
    """

    # -- where tasks come from ---------------------------------------------------------------------------

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        data: str | Path | Table | Mapping[str, Table] | None = None,
        shots: int | None = None,
        seed: int = 13,
        max_test_rows: int | None = None,
        validation_data: str | Path | Table | None = None,
        test_data: str | Path | Table | None = None,
        test_size: float | None = None,
        skip_bad: bool = False,
        encoding: str | None = None,
        *,
        template: str | None = None,
    ) -> Task:
        """A task of the catalog or of a YAML file, with its rows' source attached.

        Args:
            name_or_path: a name of `catalog`, in any of its spellings, or a path that ends in .yaml or .yml.
            data: a folder in the task's published layout, the folder above it, one file, a folder that ``save_to_disk``
                of a data set wrote, or what is in memory: a data frame, a data set, an arrow table, a list of
                mappings, or a mapping from a split's name to one of these. Without it the task's package or the hub.
            shots: rows a class to train on and as many to validate; all by default.
            seed: of every draw, and of the published few-shot folder (``16-13``) to take.
            max_test_rows: at most this many test rows, the same ones for every seed.
            validation_data: a file or table of validation rows, which then come from no other place.
            test_data: a file or table of test rows, likewise.
            test_size: how much of one file to test on, a share below 1 or a number of rows; by default a tenth, and
                with `shots` all that is neither trained nor validated on.
            skip_bad: leave out rows without text or label, or with a label that the task has not, and note how many;
                they are refused otherwise, all in one message.
            encoding: of text files, as ``cp1250``; by default their bytes tell it, or they are refused.
            template: the name of one of its patterns, or a template with fields in braces; see `with_template`.

        Raises:
            SoftPromptError: no such task, no such data, or a fault in either.
        """
        values, file, notes = loading.read_task(name_or_path)
        try:
            task = cls(**values)
        except SoftPromptError as error:
            raise SoftPromptError(f"{file}: {error}") from None
        task._notes = notes
        task = task if template is None else task.with_template(template)
        source = (data, shots, seed, max_test_rows, validation_data, test_data, test_size, skip_bad, encoding)
        return task.with_data(*source)

    @staticmethod
    def catalog() -> list[str]:
        """Names of the tasks that come with the library."""
        return loading.catalog_names()

    def with_data(
        self,
        data: str | Path | Table | Mapping[str, Table] | None,
        shots: int | None = None,
        seed: int = 13,
        max_test_rows: int | None = None,
        validation_data: str | Path | Table | None = None,
        test_data: str | Path | Table | None = None,
        test_size: float | None = None,
        skip_bad: bool = False,
        encoding: str | None = None,
    ) -> Task:
        """The same task with another source; the arguments are those of `load`.

        Raises:
            SoftPromptError: no such data, or an option that cannot work.

        Example:
            >>> task = sp.Task(template="{text} It was {mask}", labels={True: "great", False: "terrible"})
            >>> rows = [{"text": f"film {n}", "label": n % 2 == 0} for n in range(30)]
            >>> len(task.with_data(rows).splits().train)
            24
        """
        task, known = self.model_copy(), _known(encoding)
        task._source = DataSource(
            place_of(data, "data"),
            place_of(validation_data, "validation_data"),
            place_of(test_data, "test_data"),
            shots=shots,
            seed=seed,
            max_test_rows=max_test_rows,
            test_size=test_size,
            skip_bad=skip_bad,
            encoding=known,
            reader=RecordReader(encoding=known),
        )
        task._source.check(task)
        return task

    def reading_once(self) -> Task:
        """The same task, whose files are read once however often their rows are asked for.

        A file that is changed is read again. The records stay in memory as long as this task does.
        """
        return self.with_source(self._source and self._source.reading_once())

    def with_source(self, source: DataSource | None) -> Task:
        """The same task with its rows from another source."""
        task = self.model_copy()
        task._source = source
        return task

    def summary(self) -> Summary:
        """What a notebook shows of it; a file by its name alone."""
        facts = [
            ("answers", self.answers_in_words()),
            ("template", self.template),
            ("metrics", ", ".join(self.metrics)),
        ]
        return Summary(
            f"Task: {self.name}", [*facts, ("rows", "none" if self._source is None else self._source.told())]
        )

    def answers_in_words(self) -> str:
        """The kind of its answers, and the words of its labels."""
        labels = self.label_words()
        first = ", ".join(labels[:_WORDS]) + (f" and {len(labels) - _WORDS} more" if len(labels) > _WORDS else "")
        return f"{self.kind}: {first}" if labels else self.kind

    @property
    def source(self) -> DataSource | None:
        """Where its rows come from; None where it has none."""
        return self._source

    # -- rows --------------------------------------------------------------------------------------------

    def splits(self, seed: int | None = None, *, few_shot: bool = True) -> Splits:
        """Train, validation and test rows; the same for the same seed (by default the seed of `load`).

        Args:
            seed: of the draws.
            few_shot: draw the shots of `load`. Without, all rows train and validate, and the test rows are the same; of
                one file of your own shots are drawn either way, since its test rows are what they leave over.

        Raises:
            SoftPromptError: the task has no source, or its files have a fault.
        """
        if self._source is None:
            raise SoftPromptError(f"task {self.name!r} has no data; load it with data=... or call with_data(...)")
        splits = self._source.splits(self, self._source.seed if seed is None else seed, few_shot=few_shot)
        return replace(splits, notes=(*self._notes, *splits.notes)) if self._notes else splits

    def rows_from(self, path: str | Path, encoding: str | None = None) -> list[Row]:
        """The rows of one file to predict, or of a data set's folder; labels are read where the file has them.

        Args:
            path: of the file or folder.
            encoding: of a text file; by default its bytes tell it.

        Raises:
            SoftPromptError: the file cannot be read, or every fault of its rows.
        """
        with _told(None) as notes:
            return unlabelled.rows_of_file(self, path_of(path, "file"), _known(encoding), notes)

    def each_row_from(
        self, path: str | Path, encoding: str | None = None, notes: list[str] | None = None
    ) -> Iterator[tuple[Mapping[str, object], list[Row]]]:
        """What a file holds, one record at a time and never all at once: its columns, and the rows to predict.

        A record is one row, of some nested layouts several; a blank line, and a record without text, is none.

        Args:
            path: of the file or folder.
            encoding: of a text file; by default its bytes tell it.
            notes: takes what there is to know of how the file was read, which is logged otherwise.

        Raises:
            SoftPromptError: the file cannot be read, or the first fault of a record.
        """
        with _told(notes) as known:
            for record, rows in unlabelled.each_unlabelled(self, path_of(path, "file"), _known(encoding), known):
                yield record.values, rows

    def labelled_rows(
        self,
        path: str | Path,
        encoding: str | None = None,
        *,
        skip_bad: bool = False,
        notes: list[str] | None = None,
    ) -> list[Row]:
        """All rows of one file with their labels, undivided: a file that was kept apart to score a prompt on.

        Args:
            path: of the file or folder.
            encoding: of a text file; by default its bytes tell it.
            skip_bad: leave out rows that cannot be used, and note how many.
            notes: takes what there is to know of how the file was read, which is logged otherwise.

        Raises:
            SoftPromptError: the file cannot be read, or a row has no label or another than the task's.
        """
        with _told(notes) as known:
            return records.labelled_rows(self, path_of(path, "file"), _known(encoding), known, skip_bad=skip_bad)

    def rows_of(self, values: Table | Iterable[str | Mapping[str, object]]) -> list[Row]:
        """Rows of Python values.

        Args:
            values: mappings by field name, or plain strings where the task has one field; or a data frame, a data set
                or an arrow table.

        Raises:
            SoftPromptError: no rows, or a row with a fault.
        """
        return records.rows_of_values(self, values)


def _known(encoding: str | None) -> str | None:
    return None if encoding is None else check_encoding(encoding)


@contextmanager
def _told(notes: list[str] | None) -> Iterator[list[str]]:
    """A list of notes to fill; what stands in it afterwards is logged where nobody asked for it."""
    own: list[str] = []
    yield own if notes is None else notes
    for note in own:
        _LOG.warning(note)
