"""Take this machine's folder out of a logs.db: llm keeps the absolute path of a fragment's file."""

import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])
database.execute("update fragments set source = replace(source, rtrim(source, replace(source, '/', '')), '') where source like '/%'")
database.commit()
database.execute("vacuum")
