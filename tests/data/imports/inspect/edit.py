"""Mark one sample as invalid and correct one score, as a person would after a look at the log."""

import sys

from inspect_ai.log import ProvenanceData, edit_score, invalidate_samples, read_eval_log, write_eval_log
from inspect_ai.scorer import ScoreEdit

path = sys.argv[1]
log = read_eval_log(path)
by_id = {sample.id: sample for sample in log.samples}
who = ProvenanceData(author="reviewer", reason="the question is wrong")
log = invalidate_samples(log, [by_id["invalid"].uuid], who)
edit_score(log, "cut", "exact", ScoreEdit(value="C", provenance=ProvenanceData(author="reviewer", reason="good enough")))
write_eval_log(log, path)
