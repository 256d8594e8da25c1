#!/bin/sh
# Run in this folder, with lm-eval[api] 0.4.13 installed. Writes out/.
export OPENAI_API_KEY=none HF_HUB_OFFLINE=1 HF_HOME=.hf PYTHONWARNINGS=ignore
BASE=http://127.0.0.1:8932/v1
ask() { python scripted_server.py 8932 replies.json & SERVER=$!; sleep 1; lm_eval run "$@"; echo "exit $?"; kill $SERVER; }
CHAT="--model local-chat-completions --model_args model=small,base_url=$BASE/chat/completions --include_path tasks --log_samples --output_path out"
TEXT="--model local-completions --model_args model=tiny,base_url=$BASE/completions,tokenizer_backend=remote --include_path tasks --log_samples --output_path out"
ask $CHAT --tasks sums --apply_chat_template --system_instruction "Answer with a number." --num_fewshot 1
ask $CHAT --tasks sums_vote towns --apply_chat_template
ask $TEXT --tasks sums colours colours_letters winner
ask $TEXT --tasks colours_mutual
ask $TEXT --tasks texts
