# Shortcuts for the stages of the pipeline: each target is one command of ./ship or ./pants.
.PHONY: docs recording help test lint image push deploy e2e up down bench gate-rates

SERVICE ?= app
ENV ?= sandbox

help:    ; @sed -n 's/^\([a-z0-9-]*\): *; @\{0,1\}\(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 10
test:    ; ./ship test
lint:    ; ./pants --tag=[] lint check ::
image:   ; ./ship build $(SERVICE)
push:    ; ./ship publish $(SERVICE)
deploy:  ; ./ship deploy $(SERVICE) --env $(ENV)
e2e:     ; ./ship test e2e::
up:      ; ./ship up
down:    ; ./ship down
docs:    ; ./ship --reference > docs/cli.md && ./ship --config-references
recording: ; ./ship demo --yes --record docs/img/demo.svg
bench:   ; python3 -m bench
gate-rates: ; python3 -m bench gate
