"""Language models: completions, embeddings, and the frameworks around them."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

llm = Family("llm", "high", loop=True, batch="asyncio.gather with a limit, or the provider's batch API")
EMBED = "one embedding call with the whole list"

# -- OpenAI and clients of the same shape ---------------------------------------------------------------

OPENAI_CALLS = "create parse stream retrieve generate edit create_variation create_and_poll create_and_run_poll create_and_run upload_and_poll"
OPENAI_ONCE = "list delete cancel content retrieve_content upload wait_for_processing"
for package, sync, asynchronous, variants in (
    ("openai", "OpenAI", "AsyncOpenAI", "AzureOpenAI"),
    ("groq", "Groq", "AsyncGroq", ""),
    ("together", "Together", "AsyncTogether", ""),
    ("anthropic", "Anthropic", "AsyncAnthropic", "AnthropicBedrock AnthropicVertex AnthropicFoundry"),
    ("cerebras.cloud.sdk", "Cerebras", "AsyncCerebras", ""),
    ("zhipuai", "ZhipuAI", "AsyncZhipuAI", ""),
    ("fireworks.client", "Fireworks", "AsyncFireworks", ""),
    ("portkey_ai", "Portkey", "AsyncPortkey", ""),
    ("langfuse.openai", "OpenAI", "AsyncOpenAI", "AzureOpenAI"),
):
    llm.below(f"{package}.{sync}", OPENAI_CALLS, use=f"{package}.{asynchronous}")
    llm.below(f"{package}.{sync}", OPENAI_ONCE, use=f"{package}.{asynchronous}", severity="medium")
    llm.calls(f"{package}.{sync}.embeddings", "create", use=f"{package}.{asynchronous}", batch=EMBED)
    llm.below(f"{package}.{asynchronous}", OPENAI_CALLS, blocking=False)
    llm.below(f"{package}.{asynchronous}", OPENAI_ONCE, blocking=False)
    llm.awaited(f"{package}.{asynchronous}.embeddings", "create", batch=EMBED)
    llm.gives(f"{package}.{sync}.with_options {package}.{sync}.copy", f"{package}.{sync}")
    llm.gives(f"{package}.{asynchronous}.with_options {package}.{asynchronous}.copy", f"{package}.{asynchronous}")
    llm.async_context(f"{package}.{asynchronous}")
    for variant in variants.split():
        llm.subclass(f"{package}.{variant}", f"{package}.{sync}")
        llm.subclass(f"{package}.Async{variant}", f"{package}.{asynchronous}")
llm.calls("anthropic.Anthropic.messages", "count_tokens", use="anthropic.AsyncAnthropic")
llm.awaited("anthropic.AsyncAnthropic.messages", "count_tokens")
llm.alias("openai.OpenAI", "openai.Client openai._client.OpenAI")
llm.alias("openai.AsyncOpenAI", "openai.AsyncClient openai._client.AsyncOpenAI")
llm.alias("openai", "openai.lib.azure langsmith.wrappers.openai")
llm.alias("anthropic.Anthropic", "anthropic.Client")
llm.alias("anthropic.AsyncAnthropic", "anthropic.AsyncClient")
for area in ["chat", "completions", "responses", "images", "audio", "moderations", "files", "beta", "models", "fine_tuning", "batches"]:
    llm.below(f"openai.{area}", f"{OPENAI_CALLS} list delete", use="openai.AsyncOpenAI")
llm.calls("openai.embeddings", "create", use="openai.AsyncOpenAI", batch=EMBED)
llm.calls("openai.ChatCompletion openai.Completion openai.Image", "create", use="openai.AsyncOpenAI")
llm.awaited("openai.ChatCompletion openai.Completion openai.Image", "acreate")
llm.calls("openai.Embedding", "create", use="openai.AsyncOpenAI", batch=EMBED)
llm.awaited("openai.Embedding", "acreate", batch=EMBED)

# -- other providers ------------------------------------------------------------------------------------

llm.below("mistralai.Mistral", "complete stream create process parse", use="the *_async methods of mistralai.Mistral")
llm.below("mistralai.Mistral", "complete_async stream_async create_async process_async parse_async", blocking=False)
llm.calls("mistralai.client.MistralClient", "chat chat_stream embeddings", use="mistralai.async_client.MistralAsyncClient")
llm.awaited("mistralai.async_client.MistralAsyncClient", "chat chat_stream embeddings")
for sync, asynchronous in (("Client", "AsyncClient"), ("ClientV2", "AsyncClientV2")):
    llm.calls(f"cohere.{sync}", "chat chat_stream generate classify summarize rerank", use=f"cohere.{asynchronous}")
    llm.calls(f"cohere.{sync}", "embed", use=f"cohere.{asynchronous}", batch=EMBED)
    llm.awaited(f"cohere.{asynchronous}", "chat chat_stream generate classify summarize rerank")
    llm.awaited(f"cohere.{asynchronous}", "embed", batch=EMBED)
LITELLM = "completion text_completion image_generation transcription speech rerank moderation responses"
llm.calls("litellm litellm.Router", LITELLM, use="litellm.acompletion()")
llm.calls("litellm litellm.Router", "embedding", use="litellm.aembedding()", batch=EMBED)
llm.awaited("litellm litellm.Router", " ".join(f"a{name}" for name in LITELLM.split()))
llm.awaited("litellm litellm.Router", "aembedding", batch=EMBED)
llm.alias("litellm", "litellm.main")
llm.alias("litellm.Router", "litellm.router.Router")
OLLAMA = "chat generate pull push create show copy"
llm.calls("ollama ollama.Client", OLLAMA, use="ollama.AsyncClient")
llm.calls("ollama ollama.Client", "embed embeddings", use="ollama.AsyncClient", batch=EMBED)
llm.awaited("ollama.AsyncClient", OLLAMA)
llm.awaited("ollama.AsyncClient", "embed embeddings", batch=EMBED)
GENAI = "generate_content generate_content_stream generate_images generate_videos edit_image count_tokens send_message send_message_stream upload"
llm.below("google.genai.Client", GENAI, use="google.genai.Client().aio")
llm.below("google.genai.Client", "embed_content", use="google.genai.Client().aio", batch=EMBED)
llm.below("google.genai.Client.aio", GENAI, blocking=False)
llm.below("google.genai.Client.aio", "embed_content", blocking=False, batch=EMBED)
llm.alias("google.genai.Client", "google.genai.client.Client")
for owner in ("google.generativeai.GenerativeModel", "vertexai.generative_models.GenerativeModel"):
    llm.calls(owner, "generate_content count_tokens", use="generate_content_async()")
    llm.awaited(owner, "generate_content_async count_tokens_async")
    llm.gives(f"{owner}.start_chat", f"{owner}.ChatSession")
    llm.calls(f"{owner}.ChatSession", "send_message", use="send_message_async()")
    llm.awaited(f"{owner}.ChatSession", "send_message_async")
llm.alias("vertexai.generative_models", "vertexai.preview.generative_models")
llm.calls("google.generativeai", "embed_content", use="google.generativeai.embed_content_async()", batch=EMBED)
llm.calls("google.generativeai", "upload_file get_file list_models delete_file")
llm.calls("vertexai.language_models.TextEmbeddingModel", "get_embeddings", use="get_embeddings_async()", batch=EMBED)
llm.calls("replicate replicate.Client", "run stream", use="replicate.async_run()")
llm.awaited("replicate replicate.Client", "async_run async_stream")
INFERENCE = (
    "chat_completion text_generation summarization translation text_to_image image_to_text automatic_speech_recognition"
    " question_answering text_classification zero_shot_classification token_classification"
)
llm.calls("huggingface_hub.InferenceClient", INFERENCE, use="huggingface_hub.AsyncInferenceClient")
llm.calls("huggingface_hub.InferenceClient", "feature_extraction", use="huggingface_hub.AsyncInferenceClient", batch=EMBED)
llm.below("huggingface_hub.InferenceClient.chat", "create", use="huggingface_hub.AsyncInferenceClient")
llm.awaited("huggingface_hub.AsyncInferenceClient", INFERENCE)
llm.awaited("huggingface_hub.AsyncInferenceClient", "feature_extraction", batch=EMBED)
llm.below("huggingface_hub.AsyncInferenceClient.chat", "create", blocking=False)
llm.calls("voyageai.Client", "embed rerank contextualized_embed multimodal_embed", use="voyageai.AsyncClient", batch=EMBED)
llm.awaited("voyageai.AsyncClient", "embed rerank contextualized_embed multimodal_embed", batch=EMBED)
llm.calls("azure.ai.inference.ChatCompletionsClient", "complete", use="azure.ai.inference.aio.ChatCompletionsClient")
llm.calls("azure.ai.inference.EmbeddingsClient", "embed", use="azure.ai.inference.aio.EmbeddingsClient", batch=EMBED)
llm.awaited("azure.ai.inference.aio.ChatCompletionsClient", "complete")
llm.awaited("azure.ai.inference.aio.EmbeddingsClient", "embed", batch=EMBED)
llm.calls("ibm_watsonx_ai.foundation_models.ModelInference", "generate generate_text generate_text_stream chat chat_stream", use="achat() or agenerate()")
llm.calls("dashscope.Generation dashscope.MultiModalConversation dashscope.TextEmbedding dashscope.TextReRank", "call", use="dashscope.AioGeneration")
llm.awaited("dashscope.AioGeneration dashscope.AioMultiModalConversation", "call")
llm.below("elevenlabs.ElevenLabs elevenlabs.client.ElevenLabs", "convert stream generate search get_all", use="elevenlabs.AsyncElevenLabs")
llm.calls("assemblyai.Transcriber", "transcribe", use="transcribe_async()")

# -- frameworks -----------------------------------------------------------------------------------------

CHAT_MODEL, EMBEDDINGS = "langchain_core.language_models.BaseChatModel", "langchain_core.embeddings.Embeddings"
llm.calls(CHAT_MODEL, "invoke predict predict_messages generate generate_prompt stream", use="ainvoke()", batch="abatch()")
llm.calls(CHAT_MODEL, "batch", use="abatch()", loop=False)
llm.awaited(CHAT_MODEL, "ainvoke apredict agenerate agenerate_prompt", batch="abatch()")
llm.methods_give(CHAT_MODEL, "bind_tools bind with_config with_retry with_structured_output with_fallbacks", CHAT_MODEL)
llm.calls(EMBEDDINGS, "embed_query embed_documents", use="aembed_documents()", batch="embed_documents() with the whole list")
llm.awaited(EMBEDDINGS, "aembed_query aembed_documents", batch="aembed_documents() with the whole list")
llm.subclass(
    "langchain_openai.ChatOpenAI langchain_openai.AzureChatOpenAI langchain_openai.OpenAI langchain_anthropic.ChatAnthropic"
    " langchain_google_genai.ChatGoogleGenerativeAI langchain_google_vertexai.ChatVertexAI langchain_groq.ChatGroq langchain_ollama.ChatOllama"
    " langchain_mistralai.ChatMistralAI langchain_cohere.ChatCohere langchain_aws.ChatBedrock langchain_aws.ChatBedrockConverse"
    " langchain_community.chat_models.ChatOpenAI langchain_community.llms.OpenAI langchain_fireworks.ChatFireworks langchain_xai.ChatXAI"
    " langchain_deepseek.ChatDeepSeek langchain_huggingface.ChatHuggingFace langchain_together.ChatTogether langchain_litellm.ChatLiteLLM"
    " langchain_core.language_models.BaseLanguageModel langchain_core.language_models.LLM langchain_core.language_models.BaseLLM",
    CHAT_MODEL,
)
llm.gives("langchain.chat_models.init_chat_model", CHAT_MODEL)
llm.subclass(
    "langchain_openai.OpenAIEmbeddings langchain_openai.AzureOpenAIEmbeddings langchain_google_genai.GoogleGenerativeAIEmbeddings"
    " langchain_cohere.CohereEmbeddings langchain_huggingface.HuggingFaceEmbeddings langchain_ollama.OllamaEmbeddings"
    " langchain_aws.BedrockEmbeddings langchain_mistralai.MistralAIEmbeddings langchain_voyageai.VoyageAIEmbeddings"
    " langchain_community.embeddings.HuggingFaceEmbeddings",
    EMBEDDINGS,
)
llm.alias(
    "langchain_core.language_models",
    "langchain_core.language_models.chat_models langchain_core.language_models.llms langchain_core.language_models.base"
    " langchain.chat_models.base langchain.llms.base langchain.base_language",
)
llm.alias("langchain_core.embeddings", "langchain_core.embeddings.embeddings langchain.embeddings.base langchain.schema.embeddings")
LLAMA_INDEX = "llama_index.core.llms.LLM"
llm.calls(LLAMA_INDEX, "complete chat stream_complete stream_chat predict structured_predict", use="acomplete() or achat()")
llm.awaited(LLAMA_INDEX, "acomplete achat astream_complete astream_chat apredict astructured_predict")
llm.subclass(
    "llama_index.llms.openai.OpenAI llama_index.llms.anthropic.Anthropic llama_index.llms.ollama.Ollama llama_index.llms.azure_openai.AzureOpenAI"
    " llama_index.llms.gemini.Gemini",
    LLAMA_INDEX,
)
llm.alias(LLAMA_INDEX, "llama_index.core.llms.llm.LLM llama_index.core.base.llms.base.BaseLLM")
LLAMA_EMBED = "llama_index.core.base.embeddings.base.BaseEmbedding"
llm.calls(LLAMA_EMBED, "get_text_embedding get_query_embedding", use="aget_text_embedding()", batch="get_text_embedding_batch()")
llm.calls(LLAMA_EMBED, "get_text_embedding_batch", use="aget_text_embedding_batch()", loop=False)
llm.awaited(LLAMA_EMBED, "aget_text_embedding aget_query_embedding", batch="aget_text_embedding_batch()")
llm.alias(LLAMA_EMBED, "llama_index.core.embeddings.BaseEmbedding")
llm.calls("llama_index.core.base.base_query_engine.BaseQueryEngine", "query", use="aquery()")
llm.awaited("llama_index.core.base.base_query_engine.BaseQueryEngine", "aquery")
llm.gives("llama_index.core.VectorStoreIndex.as_query_engine", "llama_index.core.base.base_query_engine.BaseQueryEngine")
llm.gives("instructor.from_openai instructor.patch instructor.from_anthropic", "instructor.Instructor")
llm.below("instructor.Instructor", "create create_with_completion create_partial create_iterable", use="instructor.AsyncInstructor")
llm.below("instructor.AsyncInstructor", "create create_with_completion", blocking=False)
llm.awaited("pydantic_ai.Agent", "run")
llm.calls("pydantic_ai.Agent", "run_sync", use="pydantic_ai.Agent.run()")
llm.awaited("agents.Runner", "run")
llm.calls("agents.Runner", "run_sync", use="agents.Runner.run()")
llm.calls("crewai.Crew", "kickoff kickoff_for_each", use="kickoff_async()")
llm.awaited("crewai.Crew", "kickoff_async")
llm.calls("smolagents.CodeAgent smolagents.ToolCallingAgent", "run")

# Evaluating a model in this process is CPU or GPU time, not a request.
local = Family("cpu", "high")
local.calls("sentence_transformers.SentenceTransformer sentence_transformers.CrossEncoder", "encode encode_multi_process predict rank")
local.calls("sentence_transformers", "SentenceTransformer CrossEncoder")
local.calls("transformers", "pipeline")
local.calls(
    "transformers.AutoModel transformers.AutoTokenizer transformers.AutoModelForCausalLM transformers.AutoModelForSeq2SeqLM"
    " transformers.AutoModelForSequenceClassification transformers.AutoProcessor transformers.AutoConfig",
    "from_pretrained",
)
local.calls("whisper", "load_model transcribe")
local.calls("faster_whisper.WhisperModel", "transcribe")
local.calls("faster_whisper", "WhisperModel")
local.calls("llama_cpp", "Llama")
local.calls("llama_cpp.Llama", "create_completion create_chat_completion create_embedding embed __call__")
local.calls("spacy", "load")
local.calls("easyocr.Reader", "readtext")
local.calls("pytesseract", "image_to_string image_to_data image_to_pdf_or_hocr image_to_boxes")
local.calls("vllm.LLM", "generate chat embed")
