#!/bin/sh
# Have a resource loaded, from a shell, through RabbitMQ's management API:
#   CKAN_API_TOKEN=… examples/publish_with_rabbitmqadmin.sh https://ckan.example.org <resource id>
# The broker itself has the program: http://localhost:15672/cli/ (a Python script; RABBITMQADMIN says where it is).
# Options of yours, such as --host, --username, --vhost, go into RABBITMQADMIN_OPTIONS.
set -eu
ckan_url=$1 resource_id=$2
prefix=${DATAPUSHER_VHOST_PREFIX:-datapusher}
job_id=$(cat /proc/sys/kernel/random/uuid)
# shellcheck disable=SC2086 # the options are several words
answer=$(${RABBITMQADMIN:-rabbitmqadmin} ${RABBITMQADMIN_OPTIONS:-} publish \
    exchange="$prefix.jobs" routing_key=push_to_datastore \
    properties="{\"message_id\": \"$job_id\", \"type\": \"datapusher.job\", \"content_type\": \"application/json\", \"delivery_mode\": 2}" \
    payload="{\"job_type\": \"push_to_datastore\", \"api_key\": \"$CKAN_API_TOKEN\",
              \"metadata\": {\"ckan_url\": \"$ckan_url\", \"resource_id\": \"$resource_id\"}}")
case $answer in
    *"NOT routed"*) echo "Nobody runs such jobs: $answer" >&2; exit 1 ;;
    *) echo "$job_id" ;;
esac
