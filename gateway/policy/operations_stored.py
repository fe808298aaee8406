"""Operations on what OpenAI keeps for a client: files, threads, vector stores, jobs and such."""

from gateway.policy.operation import Charge, act, delete, form, get, grouped, post

_FEE = Charge.FEE

FILES = grouped(
    "files",
    get("files.list", "/files", lists="file"),
    form("files.create", "/files", creates="file"),
    get("files.retrieve", "/files/{file_id}"),
    delete("files.delete", "/files/{file_id}"),
    get("files.content", "/files/{file_id}/content"),
    post("uploads.create", "/uploads", creates="upload"),
    act("uploads.cancel", "/uploads/{upload_id}/cancel"),
    post("uploads.complete", "/uploads/{upload_id}/complete", creates="file"),
    form("uploads.parts.create", "/uploads/{upload_id}/parts"),
)

BATCHES = grouped(
    "batches",
    get("batches.list", "/batches", lists="batch"),
    post("batches.create", "/batches", _FEE, creates="batch"),
    get("batches.retrieve", "/batches/{batch_id}"),
    act("batches.cancel", "/batches/{batch_id}/cancel"),
)

VECTOR_STORES = grouped(
    "vector_stores",
    get("vector_stores.list", "/vector_stores", lists="vector_store"),
    post("vector_stores.create", "/vector_stores", creates="vector_store"),
    get("vector_stores.retrieve", "/vector_stores/{vector_store_id}"),
    post("vector_stores.update", "/vector_stores/{vector_store_id}"),
    delete("vector_stores.delete", "/vector_stores/{vector_store_id}"),
    post("vector_stores.file_batches.create", "/vector_stores/{vector_store_id}/file_batches"),
    get("vector_stores.file_batches.retrieve", "/vector_stores/{vector_store_id}/file_batches/{batch_id}"),
    act(
        "vector_stores.file_batches.cancel", "/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel"
    ),
    get(
        "vector_stores.file_batches.list_files",
        "/vector_stores/{vector_store_id}/file_batches/{batch_id}/files",
    ),
    get("vector_stores.files.list", "/vector_stores/{vector_store_id}/files"),
    post("vector_stores.files.create", "/vector_stores/{vector_store_id}/files"),
    get("vector_stores.files.retrieve", "/vector_stores/{vector_store_id}/files/{file_id}"),
    post("vector_stores.files.update", "/vector_stores/{vector_store_id}/files/{file_id}"),
    delete("vector_stores.files.delete", "/vector_stores/{vector_store_id}/files/{file_id}"),
    get("vector_stores.files.content", "/vector_stores/{vector_store_id}/files/{file_id}/content"),
    post("vector_stores.search", "/vector_stores/{vector_store_id}/search", _FEE),
)

ASSISTANTS = grouped(
    "assistants",
    get("assistants.list", "/assistants", lists="assistant"),
    post("assistants.create", "/assistants", creates="assistant"),
    get("assistants.retrieve", "/assistants/{assistant_id}"),
    post("assistants.update", "/assistants/{assistant_id}"),
    delete("assistants.delete", "/assistants/{assistant_id}"),
    post("threads.create", "/threads", creates="thread"),
    post("threads.create_and_run", "/threads/runs", _FEE, streams=True, creates="thread"),
    get("threads.retrieve", "/threads/{thread_id}"),
    post("threads.update", "/threads/{thread_id}"),
    delete("threads.delete", "/threads/{thread_id}"),
    get("threads.messages.list", "/threads/{thread_id}/messages"),
    post("threads.messages.create", "/threads/{thread_id}/messages"),
    get("threads.messages.retrieve", "/threads/{thread_id}/messages/{message_id}"),
    post("threads.messages.update", "/threads/{thread_id}/messages/{message_id}"),
    delete("threads.messages.delete", "/threads/{thread_id}/messages/{message_id}"),
    get("threads.runs.list", "/threads/{thread_id}/runs"),
    post("threads.runs.create", "/threads/{thread_id}/runs", _FEE, streams=True),
    get("threads.runs.retrieve", "/threads/{thread_id}/runs/{run_id}"),
    post("threads.runs.update", "/threads/{thread_id}/runs/{run_id}"),
    act("threads.runs.cancel", "/threads/{thread_id}/runs/{run_id}/cancel"),
    get("threads.runs.steps.list", "/threads/{thread_id}/runs/{run_id}/steps"),
    get("threads.runs.steps.retrieve", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}"),
    post(
        "threads.runs.submit_tool_outputs",
        "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        _FEE,
        streams=True,
    ),
)

CONVERSATIONS = grouped(
    "conversations",
    post("conversations.create", "/conversations", creates="conversation"),
    get("conversations.retrieve", "/conversations/{conversation_id}"),
    post("conversations.update", "/conversations/{conversation_id}"),
    delete("conversations.delete", "/conversations/{conversation_id}"),
    get("conversations.items.list", "/conversations/{conversation_id}/items"),
    post("conversations.items.create", "/conversations/{conversation_id}/items"),
    get("conversations.items.retrieve", "/conversations/{conversation_id}/items/{item_id}"),
    delete("conversations.items.delete", "/conversations/{conversation_id}/items/{item_id}"),
)

CONTAINERS = grouped(
    "containers",
    get("containers.list", "/containers", lists="container"),
    post("containers.create", "/containers", _FEE, creates="container"),
    get("containers.retrieve", "/containers/{container_id}"),
    delete("containers.delete", "/containers/{container_id}"),
    get("containers.files.list", "/containers/{container_id}/files"),
    form("containers.files.create", "/containers/{container_id}/files"),
    get("containers.files.retrieve", "/containers/{container_id}/files/{file_id}"),
    delete("containers.files.delete", "/containers/{container_id}/files/{file_id}"),
    get("containers.files.content.retrieve", "/containers/{container_id}/files/{file_id}/content"),
)

FINE_TUNING = grouped(
    "fine_tuning",
    post("fine_tuning.alpha.graders.run", "/fine_tuning/alpha/graders/run", _FEE),
    post("fine_tuning.alpha.graders.validate", "/fine_tuning/alpha/graders/validate"),
    get(
        "fine_tuning.checkpoints.permissions.list",
        "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
    ),
    post(
        "fine_tuning.checkpoints.permissions.create",
        "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
    ),
    delete(
        "fine_tuning.checkpoints.permissions.delete",
        "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions/{permission_id}",
    ),
    get("fine_tuning.jobs.list", "/fine_tuning/jobs", lists="fine_tuning_job"),
    post("fine_tuning.jobs.create", "/fine_tuning/jobs", _FEE, creates="fine_tuning_job"),
    get("fine_tuning.jobs.retrieve", "/fine_tuning/jobs/{fine_tuning_job_id}"),
    act("fine_tuning.jobs.cancel", "/fine_tuning/jobs/{fine_tuning_job_id}/cancel"),
    get("fine_tuning.jobs.checkpoints.list", "/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints"),
    get("fine_tuning.jobs.list_events", "/fine_tuning/jobs/{fine_tuning_job_id}/events"),
    act("fine_tuning.jobs.pause", "/fine_tuning/jobs/{fine_tuning_job_id}/pause"),
    act("fine_tuning.jobs.resume", "/fine_tuning/jobs/{fine_tuning_job_id}/resume", _FEE),
    delete("models.delete", "/models/{model}"),
)

EVALS = grouped(
    "evals",
    get("evals.list", "/evals", lists="eval"),
    post("evals.create", "/evals", creates="eval"),
    get("evals.retrieve", "/evals/{eval_id}"),
    post("evals.update", "/evals/{eval_id}"),
    delete("evals.delete", "/evals/{eval_id}"),
    get("evals.runs.list", "/evals/{eval_id}/runs"),
    post("evals.runs.create", "/evals/{eval_id}/runs", _FEE),
    get("evals.runs.retrieve", "/evals/{eval_id}/runs/{run_id}"),
    act("evals.runs.cancel_by_post", "/evals/{eval_id}/runs/{run_id}"),
    delete("evals.runs.delete", "/evals/{eval_id}/runs/{run_id}"),
    act("evals.runs.cancel", "/evals/{eval_id}/runs/{run_id}/cancel"),
    get("evals.runs.output_items.list", "/evals/{eval_id}/runs/{run_id}/output_items"),
    get("evals.runs.output_items.retrieve", "/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}"),
)

SKILLS = grouped(
    "skills",
    get("skills.list", "/skills", lists="skill"),
    form("skills.create", "/skills", creates="skill"),
    get("skills.retrieve", "/skills/{skill_id}"),
    post("skills.update", "/skills/{skill_id}"),
    delete("skills.delete", "/skills/{skill_id}"),
    get("skills.content.retrieve", "/skills/{skill_id}/content"),
    get("skills.versions.list", "/skills/{skill_id}/versions"),
    form("skills.versions.create", "/skills/{skill_id}/versions"),
    get("skills.versions.retrieve", "/skills/{skill_id}/versions/{version}"),
    delete("skills.versions.delete", "/skills/{skill_id}/versions/{version}"),
    get("skills.versions.content.retrieve", "/skills/{skill_id}/versions/{version}/content"),
)

VIDEOS = grouped(
    "videos",
    get("videos.list", "/videos", lists="video"),
    form("videos.create", "/videos", _FEE, creates="video"),
    form("videos.create_character", "/videos/characters", creates="character"),
    get("videos.get_character", "/videos/characters/{character_id}"),
    form("videos.edit", "/videos/edits", _FEE, creates="video"),
    form("videos.extend", "/videos/extensions", _FEE, creates="video"),
    get("videos.retrieve", "/videos/{video_id}"),
    delete("videos.delete", "/videos/{video_id}"),
    get("videos.download_content", "/videos/{video_id}/content"),
    form("videos.remix", "/videos/{video_id}/remix", _FEE, creates="video"),
)

VOICES = grouped(
    "voices",
    get("audio.voice_consents.list", "/audio/voice_consents", lists="consent"),
    form("audio.voice_consents.create", "/audio/voice_consents", creates="consent"),
    get("audio.voice_consents.retrieve", "/audio/voice_consents/{consent_id}"),
    post("audio.voice_consents.update", "/audio/voice_consents/{consent_id}"),
    delete("audio.voice_consents.delete", "/audio/voice_consents/{consent_id}"),
    form("audio.voices.create", "/audio/voices", creates="voice"),
    delete("audio.voices.delete", "/audio/voices/{voice_id}"),
)

CHATKIT = grouped(
    "chatkit",
    post("chatkit.sessions.create", "/chatkit/sessions", _FEE, creates="chatkit_session"),
    act("chatkit.sessions.cancel", "/chatkit/sessions/{session_id}/cancel"),
    get("chatkit.threads.list", "/chatkit/threads", lists="thread"),
    get("chatkit.threads.retrieve", "/chatkit/threads/{thread_id}"),
    delete("chatkit.threads.delete", "/chatkit/threads/{thread_id}"),
    get("chatkit.threads.list_items", "/chatkit/threads/{thread_id}/items"),
)
