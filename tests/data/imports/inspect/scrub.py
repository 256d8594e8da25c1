"""Write each log again without this machine's paths, under a plain name: SOURCE_DIR -> TARGET_DIR.

Only text inside tracebacks, the launch directory and the git revision are touched.
"""

import json
import re
import sys
from pathlib import Path

from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

source, target = map(Path, sys.argv[1:])
target.mkdir(exist_ok=True)
for path in sorted(source.glob("*.eval")):
    log = read_eval_log(str(path))
    text = log.model_dump_json()
    text = re.sub(r"/[^\"\s\\]*/site-packages/", "site-packages/", text)
    text = re.sub(r"/[^\"\s\\]*/files/inspect", ".", text)
    text = re.sub(r"/[^\"\s\\]*/lib/python3", "lib/python3", text)
    text = re.sub(r'"traceback_ansi":"(?:[^"\\]|\\.)*"', '"traceback_ansi":""', text)  # the same again, in colour
    clean = EvalLog.model_validate(json.loads(text))
    clean.eval.revision = None
    name = path.name.split("_")[1]
    final = target / f"{name}{'-retried-log' if (target / f'{name}.eval').exists() else ''}.eval"
    write_eval_log(clean, str(final))
