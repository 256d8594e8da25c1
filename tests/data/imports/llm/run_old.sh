#!/bin/sh
# Run in this folder, once with llm 0.26 ("old") and then with llm 0.36 ("new"): one database with both shapes.
export LLM_USER_PATH=home_old
python scripted_server.py 8934 replies_old.json & SERVER=$!; sleep 1
if [ "$1" = old ]; then
llm -m small -s "You know the planets." "Which is the largest planet?"
llm -c "And the smallest?"
cat dot.png | llm -m small -a - "What is in the picture?"
llm -m small -o max_tokens 5 "Write on and on."
llm -m small -f notes.txt "Summarise the notes."
llm -m whole "Say it at once."
else
llm -c "Say it once more."
llm -m small -s "You know the planets." "Which is the largest planet?"
fi
llm logs -n 0 --usage > "usage_$1.md"
llm logs -n 0 --json > "logs_$1.json"
kill $SERVER
