#!/bin/sh
# Run in this folder, with llm 0.36 installed. Writes home/logs.db.
export LLM_USER_PATH=home
python scripted_server.py 8933 replies.json & SERVER=$!; sleep 1
llm -m small -s "You know the planets." "Which is the largest planet?"
llm -c "And the smallest?"
llm -m small -t short -p topic towns "capital of Italy?"
cat dot.png | llm -m small -a - "What is in the picture?"
llm -m small -o max_tokens 5 -o temperature 0.5 "Write on and on."
llm -m small "Tell me a secret."
llm -m small -f notes.txt "Summarise the notes."
llm -m small --schema 'name, age int' "A person please"
llm -m small --no-stream -T llm_version "What is the llm version?"
llm -m small "A bad one."
llm -m whole "Say it at once."
llm -m whole "Say it at once."
llm -m small --no-stream -o reasoning_effort low "Which is the largest planet?"
llm logs -n 0 --usage > usage.md
llm logs -n 0 --json > logs.json
kill $SERVER
