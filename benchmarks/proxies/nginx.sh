#!/bin/sh
# nginx as a pass-through, with one worker, kept connections to the upstream and no buffering.
cat >"$FOLDER/nginx.conf" <<EOF
daemon off;
worker_processes 1;
pid $FOLDER/nginx.pid;
error_log stderr;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path $FOLDER/body;
  proxy_temp_path $FOLDER/proxy;
  fastcgi_temp_path $FOLDER/fastcgi;
  uwsgi_temp_path $FOLDER/uwsgi;
  scgi_temp_path $FOLDER/scgi;
  keepalive_requests 1000000;
  upstream provider { server ${UPSTREAM#http://}; keepalive 1024; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:$PORT;
    location / {
      proxy_pass http://provider;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
EOF
exec "$(command -v nginx || echo /usr/sbin/nginx)" -p "$FOLDER" -c "$FOLDER/nginx.conf"
