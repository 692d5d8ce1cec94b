"""Sockets, name resolution, TLS contexts, and protocols other than HTTP."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

network = Family("socket", "high")
STREAMS = "asyncio streams"

# socket
network.calls("socket.socket", "connect accept recv recvfrom recv_into recvfrom_into recvmsg recvmsg_into sendall sendfile", use=STREAMS)
network.calls("socket.socket", "send sendto sendmsg", use=STREAMS, severity="medium")
network.calls("socket", "create_connection", use="asyncio.open_connection()")
network.calls("socket", "getaddrinfo gethostbyname gethostbyname_ex", use="loop.getaddrinfo()")
network.calls("socket", "gethostbyaddr getnameinfo getfqdn", use="loop.getnameinfo()")
network.known.append("setblocking")  # which says that the calls above return at once
network.gives("socket.create_connection socket.create_server socket.fromfd socket.socket", "socket.socket")
network.gives("ssl.SSLContext.wrap_socket ssl.wrap_socket", "socket.socket")
network.calls("ssl.SSLSocket", "do_handshake read write unwrap", use=STREAMS)
network.subclass("ssl.SSLSocket socket.SocketType", "socket.socket")
network.calls("ssl", "get_server_certificate", use=STREAMS)
network.calls("select", "select", use="loop.add_reader()")
network.calls("select.poll select.epoll", "poll", use="loop.add_reader()")
network.gives("select.poll", "select.poll")
network.gives("select.epoll", "select.epoll")
network.calls("selectors.DefaultSelector", "select", use="loop.add_reader()")
network.subclass("selectors.SelectSelector selectors.EpollSelector selectors.PollSelector selectors.KqueueSelector", "selectors.DefaultSelector")
network.calls("socketserver.BaseServer", "serve_forever handle_request", use="asyncio.start_server()")
network.subclass(
    "socketserver.TCPServer socketserver.UDPServer socketserver.ThreadingTCPServer http.server.HTTPServer http.server.ThreadingHTTPServer",
    "socketserver.BaseServer",
)

# mail, files, terminals
SMTP_METHODS = "connect login sendmail send_message starttls quit ehlo helo ehlo_or_helo_if_needed noop data rcpt mail docmd verify"
network.calls("smtplib", "SMTP SMTP_SSL LMTP", use="aiosmtplib")
network.calls("smtplib.SMTP", SMTP_METHODS, use="aiosmtplib")
network.subclass("smtplib.SMTP_SSL smtplib.LMTP", "smtplib.SMTP")
network.calls("ftplib", "FTP FTP_TLS", use="aioftp")
network.calls(
    "ftplib.FTP",
    "connect login retrbinary retrlines storbinary storlines nlst dir cwd pwd mkd rmd delete rename size quit sendcmd voidcmd mlsd",
    use="aioftp",
)
network.subclass("ftplib.FTP_TLS", "ftplib.FTP")
network.calls("imaplib", "IMAP4 IMAP4_SSL", use="aioimaplib")
network.calls("imaplib.IMAP4", "login select search fetch store append copy logout uid list status expunge noop create delete", use="aioimaplib")
network.subclass("imaplib.IMAP4_SSL imaplib.IMAP4_stream", "imaplib.IMAP4")
network.calls("poplib", "POP3 POP3_SSL")
network.calls("poplib.POP3", "user pass_ stat list retr dele top quit uidl")
network.subclass("poplib.POP3_SSL", "poplib.POP3")
network.calls("imap_tools", "MailBox")
network.calls("imap_tools.MailBox", "login fetch move delete flag logout uids")
network.calls("telnetlib", "Telnet", use="telnetlib3")
network.calls("telnetlib.Telnet", "open read_until read_all read_some expect write", use="telnetlib3")
network.calls("django.core.mail", "send_mail send_mass_mail mail_admins mail_managers")
network.calls("django.core.mail.EmailMessage", "send")
network.subclass("django.core.mail.EmailMultiAlternatives", "django.core.mail.EmailMessage")
network.alias("django.core.mail", "django.core.mail.message")
network.calls("flask_mail.Mail", "send", use="aiosmtplib")
network.calls("nntplib", "NNTP NNTP_SSL")

# SSH
network.calls("paramiko.SSHClient", "connect exec_command invoke_shell open_sftp load_system_host_keys", use="asyncssh")
network.calls(
    "paramiko.SFTPClient",
    "get put open listdir listdir_attr stat lstat mkdir rmdir remove rename chdir file getfo putfo",
    use="asyncssh",
)
network.calls("paramiko.Transport", "connect open_session auth_password auth_publickey start_client", use="asyncssh")
network.calls("paramiko.Channel", "recv send sendall recv_exit_status exec_command", use="asyncssh")
network.gives("paramiko.SSHClient.open_sftp paramiko.SFTPClient.from_transport", "paramiko.SFTPClient")
network.gives("paramiko.SSHClient.get_transport", "paramiko.Transport")
network.gives("paramiko.Transport.open_session paramiko.SSHClient.invoke_shell", "paramiko.Channel")
network.alias("paramiko", "paramiko.client paramiko.sftp_client paramiko.transport paramiko.channel")
network.calls("fabric.Connection", "run sudo put get local open", use="asyncssh")
network.calls("netmiko", "ConnectHandler")
network.gives("netmiko.ConnectHandler", "netmiko.BaseConnection")
network.calls("netmiko.BaseConnection", "send_command send_config_set send_command_timing save_config enable disconnect")
network.calls("pysftp", "Connection", use="asyncssh")
network.calls("scp.SCPClient", "get put putfo", use="asyncssh")

# names
network.calls("dns.resolver", "resolve query resolve_address zone_for_name", use="dns.asyncresolver")
network.calls("dns.resolver.Resolver", "resolve query resolve_address", use="dns.asyncresolver.Resolver")
network.calls("dns.query", "udp tcp tls https", use="dns.asyncquery")
network.calls("whois", "whois")
network.calls("ping3 pythonping", "ping", use="icmplib.async_ping()")
network.calls("icmplib", "ping multiping", use="icmplib.async_ping()")

# WebSockets
network.calls("websocket", "create_connection", use="websockets.connect()")
network.calls("websocket.WebSocket", "connect send recv send_binary send_text recv_data recv_frame ping", use="websockets.connect()")
network.gives("websocket.create_connection", "websocket.WebSocket")
network.calls("websocket.WebSocketApp", "run_forever", use="websockets.connect()")
network.calls("websockets.sync.client", "connect unix_connect", use="websockets.connect()")
network.gives("websockets.sync.client.connect", "websockets.sync.client.ClientConnection")
network.calls("websockets.sync.client.ClientConnection", "send recv ping", use="websockets.connect()")

# serial lines, field buses, message queues, RPC
network.calls("serial", "Serial serial_for_url", use="serial_asyncio")
network.calls("serial.Serial", "read readline readlines read_until write flush open", use="serial_asyncio")
network.gives("serial.serial_for_url", "serial.Serial")
network.calls("zmq.Socket", "recv recv_string recv_json recv_pyobj recv_multipart send_multipart poll", use="zmq.asyncio.Socket")
network.gives("zmq.Context.socket", "zmq.Socket")
network.gives("zmq.asyncio.Context.socket", "zmq.asyncio.Socket")
network.gives("zmq.Context.instance", "zmq.Context")
network.gives("zmq.asyncio.Context.instance", "zmq.asyncio.Context")
network.calls("pymodbus.client.ModbusTcpClient pymodbus.client.ModbusSerialClient", "connect read_holding_registers read_input_registers"
              " read_coils write_register write_registers write_coil", use="pymodbus.client.AsyncModbusTcpClient")  # fmt: skip
network.calls("ldap3.Connection", "bind search add modify delete unbind", use="bonsai")
network.calls("ldap.ldapobject.LDAPObject", "simple_bind_s search_s modify_s add_s delete_s search_ext_s", use="bonsai")
network.gives("ldap.initialize", "ldap.ldapobject.LDAPObject")
network.gives("grpc.insecure_channel grpc.secure_channel", "grpc.Channel")
network.gives("grpc.channel_ready_future", "grpc.Future")
network.calls("grpc.Future", "result exception", use="grpc.aio")
network.calls("pysnmp.hlapi", "nextCmd getCmd", use="pysnmp.hlapi.asyncio")
network.calls("bluetooth", "discover_devices find_service", use="bleak")
network.calls("smbclient", "open_file listdir stat remove mkdir scandir register_session")

# Building a context reads certificates from disk.
tls = Family("client", "low")
ONE_CONTEXT = "one context shared by all connections"
tls.calls("ssl", "create_default_context _create_default_https_context", use=ONE_CONTEXT)
tls.calls("ssl.SSLContext", "load_verify_locations load_cert_chain load_default_certs set_default_verify_paths", use=ONE_CONTEXT)
tls.gives("ssl.create_default_context ssl._create_unverified_context", "ssl.SSLContext")
