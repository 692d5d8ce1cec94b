"""HTTP clients, and SDKs that are little more than one."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

BULK = "a bulk endpoint, or asyncio.gather with a limit"
VERBS = "get post put patch delete head options request"

http = Family("http", "high", loop=True, batch=BULK)

# requests and what follows its shape
http.calls("requests requests.Session", VERBS, use="httpx.AsyncClient")
http.calls("requests.Session", "send", use="httpx.AsyncClient")
http.gives("requests.session", "requests.Session")
http.methods_give("requests requests.Session", VERBS, "requests.Response")
http.alias("requests", "requests.api requests.sessions requests.models")
http.subclass(
    "requests_cache.CachedSession requests_html.HTMLSession requests_oauthlib.OAuth2Session requests_oauthlib.OAuth1Session"
    " authlib.integrations.requests_client.OAuth2Session authlib.integrations.requests_client.OAuth1Session"
    " google.auth.transport.requests.AuthorizedSession requests_toolbelt.sessions.BaseUrlSession requests_unixsocket.Session"
    " cachecontrol.CacheControl requests_ratelimiter.LimiterSession cloudscraper.CloudScraper",
    "requests.Session",
)
http.gives("cloudscraper.create_scraper cachecontrol.CacheControl", "requests.Session")
http.alias("requests_oauthlib.OAuth2Session", "requests_oauthlib.oauth2_session.OAuth2Session")

for library in ("curl_cffi.requests", "niquests", "primp"):
    http.calls(f"{library} {library}.Session", VERBS, use=f"{library}.AsyncSession")
    http.awaited(f"{library}.AsyncSession", VERBS)
    http.async_context(f"{library}.AsyncSession")
http.alias("curl_cffi.requests", "curl_cffi.requests.session curl_cffi.requests.api")
http.alias("curl_cffi.requests.Session", "curl_cffi.Session")
http.alias("curl_cffi.requests.AsyncSession", "curl_cffi.AsyncSession")

# httpx
http.calls("httpx httpx.Client", f"{VERBS} stream", use="httpx.AsyncClient")
http.calls("httpx.Client", "send", use="httpx.AsyncClient")
http.awaited("httpx.AsyncClient", f"{VERBS} send stream")
http.methods_give("httpx httpx.Client httpx.AsyncClient", f"{VERBS} send stream", "httpx.Response")
http.async_context("httpx.AsyncClient")
http.alias("httpx", "httpx._client httpx._api httpx._models")
http.subclass("authlib.integrations.httpx_client.AsyncOAuth2Client authlib.integrations.httpx_client.AsyncOAuth1Client", "httpx.AsyncClient")
http.subclass("authlib.integrations.httpx_client.OAuth2Client authlib.integrations.httpx_client.OAuth1Client", "httpx.Client")
http.subclass("starlette.testclient.TestClient", "httpx.Client")
http.alias("starlette.testclient.TestClient", "fastapi.testclient.TestClient")

# aiohttp
http.awaited("aiohttp.ClientSession", VERBS)  # a websocket is connected once for each peer, which is no repetition
http.awaited("aiohttp", "request")
http.methods_give("aiohttp.ClientSession", VERBS, "aiohttp.ClientResponse")
http.gives("aiohttp.request", "aiohttp.ClientResponse")
http.async_context("aiohttp.ClientSession")
http.alias("aiohttp", "aiohttp.client aiohttp.client_reqrep")
http.gives("homeassistant.helpers.aiohttp_client.async_get_clientsession", "aiohttp.ClientSession")
http.gives("homeassistant.helpers.aiohttp_client.async_create_clientsession", "aiohttp.ClientSession")
http.gives("homeassistant.helpers.httpx_client.get_async_client", "httpx.AsyncClient")
http.gives("homeassistant.helpers.httpx_client.create_async_httpx_client", "httpx.AsyncClient")
http.subclass("aiohttp_retry.RetryClient aiohttp_client_cache.CachedSession", "aiohttp.ClientSession")

# urllib, urllib3, http.client
http.calls("urllib.request", "urlopen urlretrieve", use="httpx.AsyncClient")
http.calls("urllib.request.OpenerDirector", "open", use="httpx.AsyncClient")
http.gives("urllib.request.urlopen urllib.request.OpenerDirector.open", "http.client.HTTPResponse")
http.gives("urllib.request.build_opener", "urllib.request.OpenerDirector")
http.calls("urllib.robotparser.RobotFileParser", "read", use="httpx.AsyncClient")
http.alias("urllib.request", "six.moves.urllib.request future.moves.urllib.request")
http.calls("urllib3", "request", use="httpx.AsyncClient", since="2.0")
http.calls(
    "urllib3.PoolManager urllib3.HTTPConnectionPool",
    "request urlopen request_encode_url request_encode_body",
    use="httpx.AsyncClient",
)
http.subclass("urllib3.ProxyManager urllib3.contrib.socks.SOCKSProxyManager", "urllib3.PoolManager")
http.subclass("urllib3.HTTPSConnectionPool", "urllib3.HTTPConnectionPool")
http.gives("urllib3.connection_from_url", "urllib3.HTTPConnectionPool")
http.gives("urllib3.proxy_from_url", "urllib3.PoolManager")
http.alias("urllib3", "urllib3.poolmanager urllib3.connectionpool")
http.calls("http.client.HTTPConnection", "connect request getresponse endheaders", use="httpx.AsyncClient")
http.calls("http.client.HTTPResponse", "read readline readlines read1", use="httpx.AsyncClient", loop=False)
http.gives("http.client.HTTPConnection.getresponse", "http.client.HTTPResponse")
http.subclass("http.client.HTTPSConnection", "http.client.HTTPConnection")
http.alias("http.client", "six.moves.http_client")

# others
http.calls("httplib2.Http", "request", use="httpx.AsyncClient")
http.calls("pycurl.Curl", "perform perform_rs perform_rb", use="httpx.AsyncClient")
http.calls("tornado.httpclient.HTTPClient", "fetch", use="tornado.httpclient.AsyncHTTPClient")
http.awaited("tornado.httpclient.AsyncHTTPClient", "fetch")
http.awaited("treq", VERBS)
http.calls("feedparser", "parse", use="feedparser.parse on text fetched with httpx.AsyncClient")
http.calls("wget gdown", "download", use="httpx.AsyncClient")
http.any_method("xmlrpc.client.ServerProxy", "", use="aioxmlrpc")
http.below("zeep.Client.service", "*", use="zeep.AsyncClient")
http.below("googleapiclient.discovery.Resource", "execute", use="aiogoogle", batch="new_batch_http_request()")
http.gives("googleapiclient.discovery.build googleapiclient.discovery.build_from_document", "googleapiclient.discovery.Resource")
http.calls("googleapiclient.http.MediaIoBaseDownload", "next_chunk", use="aiogoogle", loop=False)
http.calls("googleapiclient.http.HttpRequest", "execute", use="aiogoogle", batch="new_batch_http_request()")

# SDKs of services
http.any_method(
    "slack_sdk.WebClient",
    "chat_postMessage chat_update chat_delete chat_postEphemeral users_info users_list conversations_history"
    " conversations_info conversations_list conversations_replies conversations_open files_upload files_upload_v2"
    " reactions_add views_open views_publish api_call auth_test users_lookupByEmail",
    use="slack_sdk.web.async_client.AsyncWebClient",
)
http.any_method(
    "slack_sdk.web.async_client.AsyncWebClient", "", blocking=False
)
http.alias("slack_sdk.WebClient", "slack_sdk.web.WebClient slack_sdk.web.client.WebClient slack.WebClient")
http.calls("slack_sdk.webhook.WebhookClient", "send send_dict", use="slack_sdk.webhook.async_client.AsyncWebhookClient")
http.below("twilio.rest.Client", "create fetch list update delete", use="the *_async methods of an AsyncTwilioHttpClient")
http.below("stripe", "create retrieve modify list delete cancel search confirm capture", use="the *_async methods of stripe")
http.calls("sendgrid.SendGridAPIClient", "send")
http.any_method(
    "github.Github",
    "get_repo get_user get_organization search_issues search_repositories search_code search_users get_rate_limit",
    exempt="close",
    use="githubkit",
)
http.gives("github.Github.get_repo", "github.Repository.Repository")
http.calls(
    "github.Repository.Repository",
    "get_issue get_pull get_contents create_issue create_pull create_file update_file delete_file get_commit get_branch"
    " create_git_ref get_release create_git_blob create_git_tree create_git_commit get_git_ref get_git_tree get_readme",
    use="githubkit",
)
http.any_method(
    "jira.JIRA",
    "issue search_issues create_issue transition_issue add_comment project projects add_attachment assign_issue transitions",
    exempt="close",
)
http.any_method(
    "atlassian.Confluence atlassian.Jira",
    "get_page_by_id get_page_by_title create_page update_page get_all_pages_from_space cql jql get_page_child_by_type"
    " get_attachments_from_content issue_create",
    exempt="close",
)
http.below("gitlab.Gitlab", "get list create delete save", use="the REST API over httpx.AsyncClient")
http.below("notion_client.Client", "query retrieve create update delete list search append", use="notion_client.AsyncClient")
http.below("notion_client.AsyncClient", "query retrieve create update delete list search append", blocking=False)
http.calls("tavily.TavilyClient", "search extract crawl map get_search_context qna_search", use="tavily.AsyncTavilyClient")
http.awaited("tavily.AsyncTavilyClient", "search extract crawl map get_search_context qna_search")
http.calls("firecrawl.FirecrawlApp firecrawl.Firecrawl", "scrape_url crawl_url map_url search scrape crawl map extract", use="firecrawl.AsyncFirecrawl")
http.awaited("firecrawl.AsyncFirecrawlApp firecrawl.AsyncFirecrawl", "scrape_url crawl_url map_url search scrape crawl map extract")
http.calls("exa_py.Exa", "search search_and_contents find_similar find_similar_and_contents get_contents answer", use="exa_py.AsyncExa")
http.awaited("exa_py.AsyncExa", "search search_and_contents find_similar find_similar_and_contents get_contents answer")
http.calls("serpapi.GoogleSearch", "get_dict get_json get_dictionary get_results")
http.calls("ddgs.DDGS duckduckgo_search.DDGS", "text images news videos answers suggestions maps chat")
http.calls("wikipedia", "page summary search", use="the REST API over httpx.AsyncClient")
http.calls("newspaper.Article", "download build", use="httpx.AsyncClient")
http.calls("yt_dlp.YoutubeDL youtube_dl.YoutubeDL", "extract_info download")
http.calls(
    "huggingface_hub",
    "hf_hub_download snapshot_download upload_file upload_folder list_models list_datasets model_info dataset_info"
    " list_repo_files create_repo whoami get_inference_endpoint",
)
http.any_method(
    "huggingface_hub.HfApi",
    "hf_hub_download snapshot_download upload_file upload_folder list_models model_info repo_info list_repo_files create_repo"
    " delete_file delete_repo file_exists repo_exists whoami",
    exempt="run_as_future",
)
http.calls("msal.ConfidentialClientApplication msal.PublicClientApplication", "acquire_token_for_client acquire_token_on_behalf_of"
           " acquire_token_by_authorization_code acquire_token_by_refresh_token acquire_token_by_username_password"
           " acquire_token_silent", loop=False)  # fmt: skip
http.calls("google.oauth2.credentials.Credentials google.oauth2.service_account.Credentials google.auth.credentials.Credentials", "refresh", loop=False)
http.calls("google.oauth2.id_token", "verify_oauth2_token verify_token verify_firebase_token fetch_id_token", loop=False)
http.calls("jwt.PyJWKClient", "get_signing_key_from_jwt get_signing_key get_signing_keys get_jwk_set fetch_data", loop=False)
http.calls("hvac.Client.secrets.kv.v2", "read_secret_version read_secret create_or_update_secret list_secrets", loop=True)
http.calls("consul.Consul.kv", "get put delete")

KUBERNETES_APIS = "CoreV1Api AppsV1Api BatchV1Api CustomObjectsApi NetworkingV1Api RbacAuthorizationV1Api ApiextensionsV1Api StorageV1Api"
_kubernetes_calls = (
    "read_namespaced_pod list_namespaced_pod create_namespaced_pod delete_namespaced_pod read_namespaced_pod_log read_namespaced_pod_status"
    " list_pod_for_all_namespaces read_namespaced_secret create_namespaced_secret delete_namespaced_secret patch_namespaced_secret"
    " read_namespaced_config_map create_namespaced_config_map delete_namespaced_config_map patch_namespaced_config_map"
    " read_namespaced_service create_namespaced_service delete_namespaced_service list_namespaced_service list_node read_node"
    " list_namespace create_namespace read_namespaced_deployment create_namespaced_deployment delete_namespaced_deployment"
    " patch_namespaced_deployment list_namespaced_deployment patch_namespaced_deployment_scale read_namespaced_job create_namespaced_job"
    " delete_namespaced_job list_namespaced_job patch_namespaced_job get_namespaced_custom_object create_namespaced_custom_object"
    " list_namespaced_custom_object delete_namespaced_custom_object patch_namespaced_custom_object list_namespaced_event"
    " create_namespaced_persistent_volume_claim delete_namespaced_persistent_volume_claim"
)
for api in KUBERNETES_APIS.split():
    http.any_method(f"kubernetes.client.{api}", _kubernetes_calls, use=f"kubernetes_asyncio.client.{api}", batch="one list_* call with a label selector")
    http.any_method(f"kubernetes_asyncio.client.{api}", "", blocking=False, batch="one list_* call with a label selector")
http.calls("kubernetes.client.CoreV1Api", "read_namespaced_pod_log", use="kubernetes_asyncio.client.CoreV1Api", loop=False)  # one pod each
http.alias("kubernetes_asyncio", "kubernetes.aio kubernetes_aio")

# Building one of these reads the bundle of certificates.
http.calls("httpx", "Client AsyncClient create_ssl_context", kind="client", severity="low", loop=False, use="one client shared by all calls")
