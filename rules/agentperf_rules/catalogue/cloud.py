"""SDKs of cloud providers."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family, by_advice

TOGETHER = "asyncio.gather with a limit, or an executor's map()"  # of calls of which none does the work of many
cloud = Family("cloud", "high", loop=True, batch=TOGETHER)

# -- AWS ----------------------------------------------------------------------------------------------

# Operations to look for: the SDK makes a method for every operation of every service.
AWS_OPERATIONS = (
    # S3
    "get_object put_object head_object delete_object delete_objects copy_object list_objects list_objects_v2 list_buckets head_bucket"
    " create_bucket delete_bucket upload_file upload_fileobj download_file download_fileobj create_multipart_upload upload_part"
    " complete_multipart_upload abort_multipart_upload get_object_tagging put_object_tagging get_bucket_location get_object_attributes"
    " list_object_versions put_object_acl get_object_acl restore_object put_bucket_policy get_bucket_policy"
    # DynamoDB
    " get_item put_item update_item delete_item query scan batch_get_item batch_write_item transact_write_items transact_get_items"
    " describe_table create_table delete_table list_tables execute_statement batch_execute_statement"
    # SQS, SNS, SES, EventBridge, Kinesis
    " send_message send_message_batch receive_message delete_message delete_message_batch change_message_visibility get_queue_url"
    " get_queue_attributes list_queues create_queue purge_queue publish publish_batch subscribe list_topics send_email send_raw_email"
    " send_templated_email put_events put_record put_records get_records get_shard_iterator put_record_batch describe_stream"
    # Lambda, Step Functions, ECS, Batch
    " invoke get_function list_functions create_function update_function_code start_execution describe_execution stop_execution"
    " list_executions get_execution_history start_sync_execution run_task describe_tasks stop_task list_tasks register_task_definition"
    " deregister_task_definition describe_task_definition create_cluster describe_clusters list_clusters create_service update_service"
    " describe_services submit_job describe_jobs terminate_job list_jobs"
    # STS, SSM, Secrets Manager, KMS, IAM, Cognito
    " assume_role assume_role_with_web_identity get_caller_identity get_session_token get_parameter get_parameters get_parameters_by_path"
    " put_parameter send_command get_command_invocation get_secret_value create_secret put_secret_value update_secret delete_secret"
    " list_secrets describe_secret encrypt decrypt generate_data_key sign verify describe_key get_user get_role create_role"
    " attach_role_policy put_role_policy list_users list_roles create_policy admin_get_user admin_create_user initiate_auth"
    " admin_initiate_auth respond_to_auth_challenge"
    # Bedrock and other machine learning
    " invoke_model invoke_model_with_response_stream converse converse_stream invoke_agent retrieve retrieve_and_generate invoke_flow"
    " list_foundation_models apply_guardrail create_model_invocation_job invoke_endpoint detect_text detect_labels analyze_document"
    " detect_document_text start_document_analysis get_document_analysis start_transcription_job get_transcription_job synthesize_speech"
    " translate_text detect_sentiment detect_entities detect_dominant_language create_training_job describe_training_job"
    " describe_endpoint create_endpoint"
    # EC2, CloudWatch, Logs, CloudFormation, Athena, Glue, Redshift, others
    " describe_instances run_instances start_instances stop_instances terminate_instances describe_security_groups describe_vpcs"
    " describe_subnets create_tags describe_images put_metric_data get_metric_data get_metric_statistics describe_alarms put_log_events"
    " get_log_events filter_log_events start_query get_query_results create_log_group create_log_stream describe_log_groups"
    " describe_log_streams create_stack update_stack delete_stack describe_stacks start_query_execution get_query_execution"
    " stop_query_execution get_query_results get_table get_tables get_database get_databases start_job_run get_job_run get_job_runs"
    " get_crawler start_crawler describe_statement get_statement_result cancel_statement get_authorization_token describe_repositories"
    " get_cost_and_usage change_resource_record_sets list_hosted_zones create_invalidation describe_db_instances"
    " describe_instance_information get_dashboard simulate_principal_policy"
)
# Operations that have one for many, from the services' API references.
_TABLE_WRITES = "batch_write_item(), or the table's batch_writer()"
AWS_BATCHES = {
    "change_message_visibility": "change_message_visibility_batch()",
    "delete_item": _TABLE_WRITES,
    "delete_message": "delete_message_batch()",
    "delete_object": "delete_objects()",
    "describe_instances": "one call with all InstanceIds",
    "detect_dominant_language": "batch_detect_dominant_language()",
    "detect_entities": "batch_detect_entities()",
    "detect_sentiment": "batch_detect_sentiment()",
    "execute_statement": "batch_execute_statement()",
    "get_item": "batch_get_item()",
    "get_parameter": "get_parameters()",
    "get_query_execution": "batch_get_query_execution()",
    "get_secret_value": "batch_get_secret_value()",
    "publish": "publish_batch()",
    "put_events": "one call with up to ten entries",
    "put_item": _TABLE_WRITES,
    "put_log_events": "one call with many events",
    "put_metric_data": "one call with many MetricData",
    "put_record": "put_records(), for Firehose put_record_batch()",
    "send_message": "send_message_batch()",
    "send_templated_email": "send_bulk_templated_email()",
}
AWS_LOCAL = (
    "get_paginator get_waiter can_paginate close generate_presigned_url generate_presigned_post meta exceptions events"
    " add_client_error_handler register_event_handler"
)
AIOBOTO = "aioboto3"
cloud.any_method("boto3.client()", AWS_OPERATIONS, exempt=AWS_LOCAL, use=AIOBOTO)
for operation, many in AWS_BATCHES.items():
    cloud.calls("boto3.client()", operation, use=AIOBOTO, batch=many)
    cloud.awaited("aioboto3.client()", operation, batch=many)
cloud.gives("boto3.client boto3.Session.client botocore.session.Session.create_client", "boto3.client()")
cloud.subclass("botocore.client.BaseClient", "boto3.client()")
cloud.gives("boto3.client().get_paginator", "botocore.paginate.Paginator")
cloud.gives("boto3.client().get_waiter", "botocore.waiter.Waiter")
cloud.gives("botocore.paginate.Paginator.paginate", "botocore.paginate.PageIterator")
cloud.iterating("botocore.paginate.PageIterator", use=AIOBOTO)
cloud.calls("botocore.paginate.PageIterator", "build_full_result search", use=AIOBOTO)
cloud.calls("botocore.waiter.Waiter", "wait", use=AIOBOTO)
cloud.calls("botocore.response.StreamingBody", "read iter_lines iter_chunks", use=AIOBOTO, loop=False)
cloud.below(
    "boto3.resource()",
    "put get download_file upload_file download_fileobj upload_fileobj put_object delete delete_objects load reload copy get_item put_item"
    " update_item delete_item query scan batch_get_item send_message send_messages receive_messages delete_messages publish create wait_until_exists"
    " create_table put_record get_available_subresources terminate start stop",
    use=AIOBOTO,
)
cloud.gives("boto3.resource boto3.Session.resource", "boto3.resource()")
# A batch writer collects items and sends them twenty-five at a time.
cloud.gives("boto3.resource().**.batch_writer", "boto3.dynamodb.table.BatchWriter")
cloud.gives("aioboto3.resource().**.batch_writer", "aioboto3.dynamodb.table.BatchWriter")
cloud.alias("boto3.Session", "boto3.session.Session")
cloud.gives("botocore.session.get_session", "botocore.session.Session")
cloud.gives("boto3.Session.get_credentials", "botocore.credentials.Credentials")
cloud.gives("aioboto3.Session.client aiobotocore.session.AioSession.create_client aioboto3.client", "aioboto3.client()")
cloud.gives("aiobotocore.session.get_session aiobotocore.get_session", "aiobotocore.session.AioSession")
cloud.gives("aioboto3.Session.resource aioboto3.resource", "aioboto3.resource()")
cloud.any_method("aioboto3.client()", "", exempt=AWS_LOCAL, blocking=False)
cloud.below("aioboto3.resource()", "put get put_item get_item update_item delete_item query scan send_message publish put_object", blocking=False)
cloud.alias("aioboto3.Session", "aioboto3.session.Session")
cloud.async_context("aioboto3.client() aioboto3.resource()")
cloud.calls("s3transfer.S3Transfer boto3.s3.transfer.S3Transfer", "upload_file download_file", use=AIOBOTO)

# -- Google -------------------------------------------------------------------------------------------

cloud.calls(
    "google.cloud.storage.Client",
    "get_bucket create_bucket list_buckets list_blobs lookup_bucket download_blob_to_file",
    use="gcloud-aio-storage",
)
cloud.calls(
    "google.cloud.storage.Bucket",
    "list_blobs copy_blob delete_blobs rename_blob exists create delete reload",
    use="gcloud-aio-storage",
)
cloud.calls(
    "google.cloud.storage.Blob",
    "download_as_bytes download_as_string download_as_text download_to_file download_to_filename upload_from_file upload_from_filename"
    " upload_from_string reload patch compose rewrite update make_public",
    use="gcloud-aio-storage",
)
cloud.calls("google.cloud.storage.Bucket", "delete_blob", use="gcloud-aio-storage", batch="delete_blobs()")
cloud.calls("google.cloud.storage.Blob", "delete", use="gcloud-aio-storage", batch="Bucket.delete_blobs()")
cloud.calls("google.cloud.storage.Bucket", "get_blob", use="gcloud-aio-storage", batch="list_blobs()")
cloud.calls("google.cloud.storage.Blob", "exists", use="gcloud-aio-storage", batch="list_blobs()")
cloud.methods_give("google.cloud.storage.Client", "bucket get_bucket create_bucket lookup_bucket", "google.cloud.storage.Bucket")
cloud.methods_give("google.cloud.storage.Bucket", "blob get_blob copy_blob rename_blob", "google.cloud.storage.Blob")
cloud.methods_give("google.cloud.storage.Client", "from_service_account_json from_service_account_info create_anonymous_client", "google.cloud.storage.Client")
cloud.methods_give("google.cloud.storage.Client google.cloud.storage.Bucket", "list_blobs", "builtins.list", of="google.cloud.storage.Blob")
cloud.alias("google.cloud.storage.Bucket", "google.cloud.storage.bucket.Bucket")
cloud.alias("google.cloud.storage.Blob", "google.cloud.storage.blob.Blob")
cloud.alias("google.cloud.storage.Client", "google.cloud.storage.client.Client")
cloud.calls(
    "google.cloud.bigquery.Client",
    "query query_and_wait get_table create_table delete_table update_table insert_rows insert_rows_json load_table_from_dataframe"
    " load_table_from_json load_table_from_uri load_table_from_file list_tables list_datasets get_dataset create_dataset list_rows get_job",
    batch="one query, or one load job",
)
cloud.gives("google.cloud.bigquery.Client.query google.cloud.bigquery.Client.load_table_from_dataframe", "google.cloud.bigquery.QueryJob")
cloud.calls("google.cloud.bigquery.QueryJob", "result to_dataframe to_arrow done", loop=False)
cloud.gives("google.cloud.bigquery.QueryJob.result google.cloud.bigquery.Client.query_and_wait", "google.cloud.bigquery.table.RowIterator")
cloud.calls("google.cloud.bigquery.table.RowIterator", "to_dataframe to_arrow", loop=False)
cloud.iterating("google.cloud.bigquery.table.RowIterator", loop=False)
cloud.calls("google.cloud.pubsub_v1.SubscriberClient", "pull acknowledge create_subscription", use="google.pubsub_v1.SubscriberAsyncClient")
cloud.calls("google.cloud.pubsub_v1.PublisherClient", "create_topic list_topics", use="google.pubsub_v1.PublisherAsyncClient")
cloud.below(
    "google.cloud.firestore.Client",
    "get set update delete add stream create get_all commit",
    use="google.cloud.firestore.AsyncClient",
    batch="get_all() or a batch()",
)
cloud.below("google.cloud.firestore.AsyncClient", "get set update delete add create get_all", blocking=False, batch="get_all() or a batch()")
cloud.gives("google.cloud.firestore.Client.batch google.cloud.firestore.Client.bulk_writer", "google.cloud.firestore.WriteBatch")
cloud.calls("google.cloud.firestore.WriteBatch", "commit", use="google.cloud.firestore.AsyncClient", loop=False)
cloud.gives("google.cloud.firestore.Client.transaction", "google.cloud.firestore.Transaction")
cloud.gives("google.cloud.firestore.AsyncClient.batch google.cloud.firestore.AsyncClient.bulk_writer", "google.cloud.firestore.AsyncWriteBatch")
cloud.gives("google.cloud.firestore.AsyncClient.transaction", "google.cloud.firestore.AsyncTransaction")
cloud.calls("google.auth", "default", severity="medium", loop=False)
cloud.alias("google.cloud.firestore.Client", "google.cloud.firestore_v1.Client firebase_admin.firestore.client()")
cloud.alias("google.cloud.firestore.AsyncClient", "google.cloud.firestore_v1.AsyncClient firebase_admin.firestore_async.client()")
cloud.calls(
    "firebase_admin.auth",
    "get_user get_user_by_email create_user update_user delete_user verify_id_token list_users create_custom_token set_custom_user_claims",
)
cloud.calls("firebase_admin.messaging", "send", batch="send_each()")
cloud.below("firebase_admin.db.reference()", "get set update push delete transaction")
for client, module in (
    ("DocumentProcessorServiceClient", "documentai"),
    ("SecretManagerServiceClient", "secretmanager"),
    ("SpeechClient", "speech"),
    ("TextToSpeechClient", "texttospeech"),
    ("ImageAnnotatorClient", "vision"),
    ("TranslationServiceClient", "translate"),
    ("LanguageServiceClient", "language"),
    ("PredictionServiceClient", "aiplatform.gapic"),
    ("CloudTasksClient", "tasks_v2"),
    ("KeyManagementServiceClient", "kms"),
    ("DlpServiceClient", "dlp_v2"),
    ("JobsClient", "run_v2"),
    ("ServicesClient", "run_v2"),
    ("InstancesClient", "compute_v1"),
    ("ConversationalSearchServiceClient", "discoveryengine_v1"),
    ("SearchServiceClient", "discoveryengine_v1"),
    ("BigQueryReadClient", "bigquery_storage"),
):
    owner = f"google.cloud.{module}.{client}"
    cloud.any_method(
        owner,
        "process_document batch_process_documents get_operation get_processor list_processors access_secret_version create_secret"
        " add_secret_version recognize long_running_recognize synthesize_speech annotate_image text_detection label_detection translate_text"
        " detect_language analyze_sentiment predict create_task run_job search answer_query create_job get_job list_jobs inspect_content",
        exempt="transport common_project_path parse_common_project_path processor_path secret_version_path secret_path queue_path"
        " get_transport_class from_service_account_file from_service_account_info location_path project_path",
        use=owner.replace("Client", "AsyncClient"),
    )
cloud.alias("google.cloud.secretmanager", "google.cloud.secretmanager_v1")
cloud.alias("google.cloud.documentai", "google.cloud.documentai_v1 google.cloud.documentai_v1beta3")
cloud.alias("google.cloud.speech", "google.cloud.speech_v1 google.cloud.speech_v1p1beta1 google.cloud.speech_v2")
cloud.alias("google.cloud.vision", "google.cloud.vision_v1")
cloud.alias("google.cloud.translate", "google.cloud.translate_v3")
cloud.alias("google.cloud.tasks_v2", "google.cloud.tasks")
cloud.calls("google.api_core.operation.Operation", "result", loop=False)

# -- Azure --------------------------------------------------------------------------------------------

AZURE_BLOB = (
    "upload_blob download_blob delete_blob exists get_blob_properties set_blob_metadata start_copy_from_url create_container delete_container"
    " list_blobs list_containers create_snapshot set_blob_tags stage_block commit_block_list append_block"
)
_ALL_DOCUMENTS = "one call with all documents"
AZURE_BATCHES = {
    "azure.storage.blob": {"delete_blob": "ContainerClient.delete_blobs()"},
    "azure.data.tables": dict.fromkeys(("create_entity", "upsert_entity", "update_entity", "delete_entity"), "submit_transaction()"),
    "azure.search.documents": dict.fromkeys(("upload_documents", "merge_or_upload_documents", "delete_documents"), _ALL_DOCUMENTS),
    "azure.servicebus": {"send_messages": "one call with a list, or a message batch"},
    "azure.ai.textanalytics": dict.fromkeys(
        ("analyze_sentiment", "recognize_entities", "recognize_pii_entities", "detect_language"), _ALL_DOCUMENTS
    ),
}
for package, classes, methods in (
    ("azure.storage.blob", "BlobServiceClient ContainerClient BlobClient", AZURE_BLOB),
    ("azure.storage.queue", "QueueClient QueueServiceClient", "send_message receive_messages receive_message delete_message peek_messages create_queue"),
    ("azure.storage.filedatalake", "DataLakeFileClient FileSystemClient DataLakeServiceClient", "download_file upload_data append_data flush_data get_paths create_file delete_file exists"),
    ("azure.keyvault.secrets", "SecretClient", "get_secret set_secret begin_delete_secret"),
    ("azure.data.tables", "TableClient", "get_entity create_entity upsert_entity update_entity delete_entity"),
    ("azure.cosmos", "ContainerProxy", "read_item create_item upsert_item replace_item delete_item patch_item"),
    ("azure.search.documents", "SearchClient", "search upload_documents merge_or_upload_documents delete_documents get_document get_document_count"),
    ("azure.servicebus", "ServiceBusSender ServiceBusReceiver", "send_messages receive_messages complete_message"),
    ("azure.eventhub", "EventHubProducerClient", "send_batch send_event"),
    ("azure.ai.documentintelligence", "DocumentIntelligenceClient", "begin_analyze_document"),
    ("azure.ai.formrecognizer", "DocumentAnalysisClient", "begin_analyze_document begin_analyze_document_from_url"),
    ("azure.ai.textanalytics", "TextAnalyticsClient", "analyze_sentiment recognize_entities recognize_pii_entities detect_language"),
    ("azure.ai.contentsafety", "ContentSafetyClient", "analyze_text analyze_image"),
    ("azure.identity", "DefaultAzureCredential ClientSecretCredential ManagedIdentityCredential AzureCliCredential", "get_token"),
    ("azure.monitor.query", "LogsQueryClient", "query_workspace"),
    ("azure.appconfiguration", "AzureAppConfigurationClient", "get_configuration_setting set_configuration_setting"),
):  # fmt: skip
    for cls in classes.split():
        if cls.endswith("Credential"):
            cloud.calls(f"{package}.{cls}", methods, use=f"{package}.aio.{cls}")
            continue
        for batch, names in by_advice(methods, AZURE_BATCHES.get(package, {})).items():
            cloud.calls(f"{package}.{cls}", names, use=f"{package}.aio.{cls}", batch=batch)
            cloud.awaited(f"{package}.aio.{cls}", names, batch=batch)
        cloud.async_context(f"{package}.aio.{cls}")
for flavour in ("azure.storage.blob", "azure.storage.blob.aio"):
    cloud.gives(f"{flavour}.BlobServiceClient.from_connection_string", f"{flavour}.BlobServiceClient")
    cloud.gives(f"{flavour}.BlobServiceClient.get_container_client {flavour}.ContainerClient.from_connection_string", f"{flavour}.ContainerClient")
    cloud.gives(
        f"{flavour}.BlobServiceClient.get_blob_client {flavour}.ContainerClient.get_blob_client {flavour}.BlobClient.from_connection_string",
        f"{flavour}.BlobClient",
    )
for flavour in ("azure.cosmos", "azure.cosmos.aio"):
    cloud.gives(f"{flavour}.CosmosClient.get_database_client {flavour}.CosmosClient.create_database_if_not_exists", f"{flavour}.DatabaseProxy")
    cloud.gives(f"{flavour}.DatabaseProxy.get_container_client {flavour}.DatabaseProxy.create_container_if_not_exists", f"{flavour}.ContainerProxy")
cloud.calls("azure.cosmos.DatabaseProxy", "create_container_if_not_exists create_container", use="azure.cosmos.aio", loop=False)

# -- others -------------------------------------------------------------------------------------------

cloud.calls(
    "minio.Minio",
    "get_object put_object fget_object fput_object stat_object remove_object remove_objects list_objects bucket_exists make_bucket list_buckets copy_object",
    use="miniopy-async",
)
cloud.alias("minio.Minio", "minio.api.Minio")
cloud.calls("fsspec", "open open_files", kind="file", severity="medium", loop=False)
FILESYSTEM = "ls cat cat_file get put open exists info rm cp mv find glob walk makedirs mkdir pipe pipe_file isfile isdir"
cloud.calls("fsspec.AbstractFileSystem", FILESYSTEM, use="the filesystem with asynchronous=True", loop=False)
cloud.gives("fsspec.filesystem", "fsspec.AbstractFileSystem")
cloud.subclass("s3fs.S3FileSystem gcsfs.GCSFileSystem adlfs.AzureBlobFileSystem", "fsspec.AbstractFileSystem")
_docker = (
    "run get list create build pull push prune start stop restart remove kill logs exec_run wait attach reload put_archive get_archive commit"
    " stats rename tag"
)
# The daemon is on this machine, and has no operation on many containers: such calls count in no loop.
cloud.below("docker.DockerClient", _docker, use="aiodocker", loop=False)
cloud.calls("docker.DockerClient", "ping version info login df", use="aiodocker", loop=False)
cloud.gives("docker.from_env docker.client.from_env", "docker.DockerClient")
cloud.gives("docker.DockerClient.containers.get docker.DockerClient.containers.run docker.DockerClient.containers.create", "docker.models.containers.Container")
cloud.calls("docker.models.containers.Container", "start stop restart remove kill logs exec_run wait attach reload put_archive get_archive commit stats", use="aiodocker", loop=False)
cloud.alias("docker.DockerClient", "docker.client.DockerClient podman.PodmanClient")
cloud.calls("docker.APIClient", "pull push build create_container start stop inspect_container inspect_image exec_create exec_start logs remove_container", use="aiodocker", loop=False)
cloud.calls("docker", "from_env", kind="client", severity="low", loop=False, use="one client shared by all calls")

# Building one of these reads the service's description from disk.
cloud.calls("boto3", "client resource", kind="client", severity="medium", loop=False, use="one client shared by all calls")
cloud.calls("boto3.Session", "client resource", kind="client", severity="medium", loop=False, use="one client shared by all calls")
cloud.calls("botocore.session.Session", "create_client", kind="client", severity="medium", loop=False, use="one client shared by all calls")
cloud.calls("googleapiclient.discovery", "build", kind="client", severity="medium", loop=False, use="one client shared by all calls")

# Celery and the like: publishing is a round trip to the broker, for each task of a group() as well.
cloud.calls("celery.Task", "delay apply_async", severity="medium", loop=False)
cloud.calls("celery.Celery", "send_task", severity="medium", loop=False)
cloud.calls("celery.result.AsyncResult", "get wait join", use="polling its state with asyncio.sleep()")
cloud.gives("celery.Task.delay celery.Task.apply_async celery.Celery.send_task", "celery.result.AsyncResult")
cloud.calls("kafka.KafkaProducer", "flush", use="aiokafka.AIOKafkaProducer", loop=False)
cloud.gives("kafka.KafkaProducer.send", "kafka.producer.future.FutureRecordMetadata")
cloud.calls("kafka.producer.future.FutureRecordMetadata", "get", use="aiokafka.AIOKafkaProducer.send_and_wait()", batch="send() for each and one flush()")
cloud.calls("kafka.KafkaConsumer", "poll", use="aiokafka.AIOKafkaConsumer", loop=False)
cloud.iterating("kafka.KafkaConsumer", use="aiokafka.AIOKafkaConsumer", loop=False)
cloud.calls("confluent_kafka.Consumer", "poll consume commit", use="aiokafka.AIOKafkaConsumer", loop=False)
cloud.calls("confluent_kafka.Producer", "flush", use="aiokafka.AIOKafkaProducer", loop=False)
cloud.awaited("aiokafka.AIOKafkaProducer", "send_and_wait", batch="send() for each and one flush()")
cloud.calls("pika.BlockingConnection pika.adapters.blocking_connection.BlockingConnection", "channel process_data_events sleep close", use="aio_pika", loop=False)
cloud.calls("pika", "BlockingConnection", use="aio_pika.connect_robust()", loop=False)
cloud.gives("pika.BlockingConnection.channel", "pika.adapters.blocking_connection.BlockingChannel")
cloud.calls(
    "pika.adapters.blocking_connection.BlockingChannel",
    "basic_publish basic_get basic_ack queue_declare exchange_declare queue_bind start_consuming consume",
    use="aio_pika",
    loop=False,
)
cloud.calls("paho.mqtt.client.Client", "connect loop_forever reconnect", use="aiomqtt.Client", loop=False)
cloud.calls("paho.mqtt.publish paho.mqtt.subscribe", "single multiple simple callback", use="aiomqtt.Client", loop=False)
