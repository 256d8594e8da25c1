#!/bin/sh
# Run in this folder, with inspect-ai 0.3.285, openai 3.57.0 and anthropic 2.14.0 installed.
# Writes logs-eval/; then edit.py, eval-retry and scrub.py make eval/ and json/ of it.
export LOCAL_BASE_URL=http://127.0.0.1:8931/v1 LOCAL_API_KEY=none INSPECT_DISPLAY=plain
export OPENAI_BASE_URL=http://127.0.0.1:8931/v1 OPENAI_API_KEY=none ANTHROPIC_BASE_URL=http://127.0.0.1:8931 ANTHROPIC_API_KEY=none
python scripted_server.py 8931 replies.json & SERVER=$!; sleep 1
ask() { inspect eval "tasks.py@$@" --log-dir logs-eval --log-format eval --max-connections 1; }
for TASK in letters several told graded troubles shots two_turns tools picture shuffled; do
  ask $TASK --model openai-api/local/small --max-samples 1
done
ask retried --model openai-api/local/small --max-samples 1 --retry-on-error=1
ask drafts --model openai-api/local/small --max-samples 1 --num-choices 2
ask graded_by_role --model openai/gpt-4o-mini --model-role grader=openai/gpt-4.1 --model-cost-config prices.json
ask thinking --model anthropic/claude-haiku-4-5 -M streaming=false --max-tokens 2000
python edit.py logs-eval/*troubles*.eval
inspect eval-retry logs-eval/*troubles*.eval --log-dir logs-eval
kill $SERVER
python scrub.py logs-eval eval
for TASK in letters told graded troubles shots thinking shuffled; do
  inspect log convert eval/$TASK.eval --to json --output-dir json
done
