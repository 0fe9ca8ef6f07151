# justalock: one plain Makefile. `make help` lists the targets.
# Objects go to $(B)/obj; other variants (asan, tsan, cov, fuzz) to folders of
# their own below build/, so that they never mix.

B       ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
CFLAGS  ?= -O2 -g
PKGCONF ?= pkg-config
WERROR  ?=
SAN     ?=
FAULT   ?=

VERSION := $(shell sed -n 's/^\#define JUSTALOCK_VERSION "\(.*\)"/\1/p' common/justalock.h)

prefix     ?= /usr
bindir     ?= $(prefix)/bin
sbindir    ?= $(prefix)/sbin
multiarch  := $(shell $(CC) -print-multiarch 2>/dev/null)
libdir     ?= $(prefix)/$(if $(multiarch),lib/$(multiarch),$(if $(wildcard /usr/lib64),lib64,lib))
libexecdir ?= $(prefix)/libexec
includedir ?= $(prefix)/include
mandir     ?= $(prefix)/share/man
datadir    ?= $(prefix)/share
pamdir     ?= $(libdir)/security
unitdir    ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
# Where shells look: EL has zsh/site-functions.
bashcompdir ?= $(datadir)/bash-completion/completions
zshcompdir ?= $(datadir)/zsh/vendor-completions
fishcompdir ?= $(datadir)/fish/vendor_completions.d
# A site's own Slurm: headers and plugin folder of SLURM_PREFIX.
SLURM_PREFIX ?=
ifneq ($(SLURM_PREFIX),)
slurmdir   ?= $(SLURM_PREFIX)/$(if $(wildcard $(SLURM_PREFIX)/lib64/slurm),lib64,lib)/slurm
endif
slurmdir   ?= $(firstword $(wildcard /usr/lib/$(multiarch)/slurm-wlm) $(libdir)/slurm)

pkg_cflags = $(shell $(PKGCONF) --cflags $(1) 2>/dev/null)
pkg_libs   = $(shell $(PKGCONF) --libs $(1) 2>/dev/null)
PKGS       := libcurl json-c libmicrohttpd sqlite3 nettle libseccomp
CURL_L     := $(call pkg_libs,libcurl)
JSON_L     := $(call pkg_libs,json-c)
MHD_L      := $(call pkg_libs,libmicrohttpd gnutls)
SQLITE_L   := $(call pkg_libs,sqlite3)
NETTLE_L   := $(call pkg_libs,nettle)
SECCOMP_L  := $(call pkg_libs,libseccomp)
CMOCKA_L   := $(call pkg_libs,cmocka)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 \
        -Wno-missing-field-initializers
ours_CPPFLAGS := -D_GNU_SOURCE -Icommon $(if $(SLURM_PREFIX),-isystem $(SLURM_PREFIX)/include) -MMD -MP $(call pkg_cflags,$(PKGS))
ours_CFLAGS   := -std=gnu11 -fPIC -fvisibility=hidden -pthread $(WARN) \
                 $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer) $(FAULT)
ours_LDFLAGS  := -Wl,-z,relro,-z,now -Wl,--as-needed -pthread $(if $(SAN),-fsanitize=$(SAN)) $(FAULT)
HARDEN        := $(if $(SAN)$(FAULT),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
COMPILE = $(CC) $(ours_CPPFLAGS) $(CPPFLAGS) $(ours_CFLAGS) $(HARDEN) $(CFLAGS)
LINK    = $(CC) $(ours_CFLAGS) $(CFLAGS) $(ours_LDFLAGS) $(LDFLAGS)

comma := ,

# ---- what is made of what -------------------------------------------------

BASE    := error clock buf log parse urls file bearer
MODULE  := error clock buf parse wire agent_client
CONFIG  := config config_text config_report config_schema config_value config_url config_check config_name config_policy config_users config_show
COMMON  := $(BASE) proc notify id secret lease $(CONFIG) keeper_wire keeper_spawn wire agent_client
TRANSFER := transfer transfer_easy transfer_name transfer_loop
NETWORK := $(TRANSFER) service service_view keeper keeper_ask keeper_give keeper_query keeper_gate keeper_many keeper_servers keeper_slots keeper_timer
LOCK    := lock lock_thread lock_state lock_view lock_options lock_id
LIBRARY := $(LOCK) $(NETWORK) lease id error clock buf parse urls file bearer

SERVER  := http http_lead http_pass http_mhd http_conn http_limit http_request http_head http_access http_answer request_guard limits listen tls access access_read table table_load table_queue table_hold table_share table_payer table_time table_tomb table_view store etcd store_etcd store_etcd_rows store_sqlite store_sqlite_open store_sqlite_log store_folder pages
AGENT   := deadlines work work_cgroup record watch_rows agent_argv agent_user watch watch_children guard guard_ask guard_command \
           guard_conn guard_hold guard_event guard_job guard_keeper guard_list guard_locks \
           guard_resolve guard_resume guard_say guard_session guard_state guard_take guard_text guard_tick guard_watch guard_works
CLI     := run run_alone run_agent front back back_end hold page talk tree child signals terminal words context help cmd_id cmd_status cmd_list cmd_release cmd_config doctor capture
SLURM   := spank_justalock spank_options spank_submit spank_script spank_task spank_wait

PAM     := pam_justalock pam_session pam_options

objs = $(patsubst %,$(B)/obj/%.o,$(1))
common_objs  := $(call objs,$(addprefix common/,$(COMMON)))
network_objs := $(call objs,$(addprefix common/,$(NETWORK)))
library_objs := $(call objs,$(addprefix common/,$(LIBRARY)))
module_objs  := $(call objs,$(addprefix common/,$(MODULE)))
server_objs  := $(call objs,$(addprefix modules/server/,$(SERVER)))
agent_objs   := $(call objs,$(addprefix modules/agent/,$(AGENT)))
cli_objs     := $(call objs,$(addprefix modules/cli/,$(CLI)))
pam_objs     := $(call objs,$(addprefix modules/pam/,$(PAM)))
slurm_objs   := $(call objs,$(addprefix modules/slurm/,$(SLURM)))

BINS := $(B)/bin/justalock $(B)/bin/justalock-agent $(B)/bin/justalock-server
KEEPER := $(B)/libexec/justalock/justalock-keeper
LIBS := $(B)/lib/libjustalock.so.1 $(B)/lib/libjustalock.a
have_slurm := $(wildcard $(or $(SLURM_PREFIX),/usr)/include/slurm/spank.h)
SPANK := $(if $(have_slurm),$(B)/lib/spank_justalock.so)

have_pam := $(wildcard /usr/include/security/pam_modules.h)
PAM_SO := $(if $(have_pam),$(B)/lib/pam_justalock.so)

.PHONY: all
all: $(BINS) $(KEEPER) $(LIBS) $(SPANK) $(PAM_SO)
	$(if $(have_slurm),,@echo 'note: slurm/spank.h is missing, spank_justalock.so is not built')
	$(if $(have_pam),,@echo 'note: security/pam_modules.h is missing, pam_justalock.so is not built')

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo '  CC   $<')
	$(if $(V),,@)$(COMPILE) -c -o $@ $<

# Every source file there is, for a compiler that only looks (tests/clang.sh).
.PHONY: syntax
syntax: $(patsubst %.c,$(B)/obj/%.o,$(wildcard common/*.c modules/*/*.c tests/*/*.c))

$(B)/libcommon.a: $(common_objs)
	@rm -f $@; $(AR) rcs $@ $^

$(B)/bin/justalock: $(call objs,modules/cli/main) $(cli_objs) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $^ $(JSON_L) $(NETTLE_L)

$(KEEPER): $(call objs,modules/agent/keeper_main modules/agent/keeper_jail) $(network_objs) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $^ $(CURL_L) $(JSON_L) $(NETTLE_L) $(SECCOMP_L)

$(B)/bin/justalock-agent: $(call objs,modules/agent/main) $(agent_objs) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $^ $(JSON_L) $(NETTLE_L)

$(B)/bin/justalock-server: $(call objs,modules/server/main) $(server_objs) $(call objs,$(addprefix common/,$(TRANSFER))) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $^ $(CURL_L) $(MHD_L) $(SQLITE_L) $(JSON_L) $(NETTLE_L)

$(B)/lib/libjustalock.so.1: $(library_objs) common/libjustalock.map
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -shared -Wl,-soname,libjustalock.so.1 -Wl,--version-script=common/libjustalock.map \
	    -Wl,-z,defs -Wl,-z,nodelete -o $@ $(library_objs) $(CURL_L) $(JSON_L) $(NETTLE_L)
	@ln -sf libjustalock.so.1 $(B)/lib/libjustalock.so

$(B)/lib/libjustalock.a: $(library_objs)
	@mkdir -p $(@D)
	@rm -f $@; $(AR) rcs $@ $^

$(B)/lib/spank_justalock.so: $(slurm_objs) $(module_objs) modules/slurm/spank.map
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -shared -Wl,--version-script=modules/slurm/spank.map -o $@ $(slurm_objs) $(module_objs)

$(B)/lib/pam_justalock.so: $(pam_objs) $(module_objs) modules/pam/pam.map
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -shared -Wl,--version-script=modules/pam/pam.map -Wl,-z,defs -o $@ $(pam_objs) $(module_objs) -lpam

# ---- unit tests: tests/unit/test_NAME.c, one per source file ----------------

UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
ifeq ($(have_pam),)
UNIT := $(filter-out %/test_pam_module %/test_pam_justalock,$(UNIT))
endif
$(B)/libtest.a: $(common_objs) $(network_objs) $(call objs,tests/lib/fake_service tests/lib/server_rig tests/lib/make_certs tests/lib/failing tests/lib/guard_rig tests/lib/own_home modules/agent/keeper_jail) $(call objs,$(addprefix common/,$(LOCK))) $(server_objs) $(agent_objs) $(slurm_objs) $(call objs,modules/pam/pam_session modules/pam/pam_options)
	@rm -f $@; $(AR) rcs $@ $^
$(B)/tests/unit/%: $(B)/obj/tests/unit/%.o $(B)/libtest.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $(filter %.o,$^) $(UNIT_LDFLAGS_$*) $(B)/libtest.a $(CMOCKA_L) $(CURL_L) $(MHD_L) $(SQLITE_L) $(JSON_L) $(NETTLE_L) $(SECCOMP_L)

# Programs whose memory runs out when they say so: tests/lib/fail_alloc.h.
FAIL_ALLOC := $(addprefix $(B)/tests/unit/test_,access_read bearer config_name config_users etcd file http http_answer keeper keeper_gate keeper_many keeper_query lock_options lock_thread pages pam_justalock store_etcd store_etcd_rows store_sqlite_open table_walk tls transfer_easy transfer_loop transfer_name) $(B)/tests/faults/nomem
$(FAIL_ALLOC): $(call objs,tests/lib/fail_alloc)
ifneq ($(filter address thread,$(subst $(comma), ,$(SAN))),)
$(FAIL_ALLOC): private LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
$(call objs,tests/lib/fail_alloc): CPPFLAGS += -DFAIL_ALLOC_WRAPS
endif
# Of the command line, which has no network of its own.
$(B)/tests/unit/test_run_alone: $(B)/obj/tests/unit/test_run_alone.o $(cli_objs) $(B)/libcommon.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $^ $(UNIT_LDFLAGS_test_run_alone) $(CMOCKA_L) $(JSON_L) $(NETTLE_L)

# The command line's parts have names that the agent's have, too.
$(B)/libtestcli.a: $(common_objs) $(cli_objs) $(call objs,tests/lib/fake_service tests/lib/failing tests/lib/own_home)
	@rm -f $@; $(AR) rcs $@ $^
$(B)/tests/unit/test_cli_%: $(B)/obj/tests/unit/test_cli_%.o $(B)/libtestcli.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $< $(UNIT_LDFLAGS_$(@F)) $(B)/libtestcli.a $(CMOCKA_L) $(JSON_L) $(NETTLE_L)

# For those that use tests/lib/failing.h.
FAILING := $(foreach f,malloc calloc realloc strdup free fork pipe2 accept4 epoll_ctl getsockopt socket rename write,-Wl$(comma)--wrap=$f)
$(foreach t,ask conn hold job keeper list resolve session state take text watch works,$(eval UNIT_LDFLAGS_test_guard_$t := $$(FAILING)))
UNIT_LDFLAGS_test_watch_children := $(FAILING)
$(foreach t,cmd_list cmd_config cmd_release cmd_status tree,$(eval UNIT_LDFLAGS_test_cli_$t := $$(FAILING)))
UNIT_LDFLAGS_test_cli_doctor := $(FAILING) -Wl,--wrap=fopen
UNIT_LDFLAGS_test_table_load := $(FAILING)
UNIT_LDFLAGS_test_config := $(FAILING)
UNIT_LDFLAGS_test_config_value := $(FAILING)
UNIT_LDFLAGS_test_config_show := $(FAILING)
UNIT_LDFLAGS_test_buf := -Wl,--wrap=realloc
UNIT_LDFLAGS_test_clock := -Wl,--wrap=clock_gettime
UNIT_LDFLAGS_test_spank_wait := -Wl,--wrap=sigaction
UNIT_LDFLAGS_test_agent_argv := -Wl,--wrap=execv
$(B)/tests/unit/test_agent_argv: $(B)/bin/justalock-agent
UNIT_LDFLAGS_test_proc := -Wl,--wrap=read,--wrap=write
UNIT_LDFLAGS_test_watch_rows := -Wl,--wrap=clock_gettime
UNIT_LDFLAGS_test_run_alone := -Wl,--wrap=clock_gettime
UNIT_LDFLAGS_test_cli_page := -Wl,--wrap=clock_gettime,--wrap=mmap
UNIT_LDFLAGS_test_cli_words := -Wl,--wrap=clock_gettime
UNIT_LDFLAGS_test_secret := -Wl,--wrap=write,--wrap=fsync
UNIT_LDFLAGS_test_store_folder := -Wl,--wrap=open,--wrap=fsync,--wrap=rename,--wrap=unlink,--wrap=flock,--wrap=write
UNIT_LDFLAGS_test_store_sqlite := -Wl,--wrap=fsync,--wrap=calloc
UNIT_LDFLAGS_test_keeper_servers := -Wl,--wrap=calloc
UNIT_LDFLAGS_test_lock_waits := -Wl,--wrap=calloc,--wrap=timerfd_create,--wrap=eventfd,--wrap=pthread_create
UNIT_LDFLAGS_test_pam_session := -Wl,--wrap=agent_connect
UNIT_LDFLAGS_test_pam_module := -lpam
UNIT_LDFLAGS_test_pam_justalock := -lpam
$(B)/tests/unit/test_pam_module $(B)/tests/unit/test_pam_justalock: $(PAM_SO)
.PHONY: unit
unit: $(UNIT)

.PHONY: check-unit
check-unit: all unit
	tests/lib/run-tests $(UNIT)

# ---- fuzzing: tests/fuzz/fuzz_NAME.c, by clang, objects of their own ---------
# A target that needs more than common/ names it: $(B)/fuzz_X: $(call objs,...)
# PLAIN=1: with a main of ours for libFuzzer's, by any compiler (tests/fuzz.sh).

PLAIN ?=
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
ifeq ($(have_slurm),)
FUZZ := $(filter-out fuzz_slurm_%,$(FUZZ))
endif
$(B)/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(call objs,common/service common/service_view $(if $(PLAIN),tests/fuzz/main)) $(B)/libcommon.a
	$(if $(V),,@echo '  LINK $@' && )$(LINK) $(if $(PLAIN),,-fsanitize=fuzzer) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(JSON_L) $(NETTLE_L) $(FUZZ_LDFLAGS_$*)
$(B)/fuzz_agent_state: $(call objs,modules/agent/record)
$(B)/fuzz_deadlines: $(call objs,modules/agent/deadlines)
$(B)/fuzz_access: $(call objs,modules/server/access modules/server/access_read)
$(B)/fuzz_pam_options: $(call objs,modules/pam/pam_options)
$(B)/fuzz_pam_socket: $(call objs,modules/pam/pam_session)
$(B)/fuzz_slurm_options: $(call objs,modules/slurm/spank_options)
$(B)/fuzz_slurm_socket: $(call objs,modules/slurm/spank_wait)
$(B)/fuzz_request: $(server_objs) $(call objs,$(addprefix common/,$(TRANSFER)))
# An input would cost a write of the log's room.
$(B)/fuzz_server_state: $(filter-out %/store_sqlite_log.o,$(server_objs)) $(call objs,$(addprefix common/,$(TRANSFER)))
$(B)/fuzz_etcd: $(call objs,$(addprefix modules/server/,$(filter etcd store store_etcd% store_sqlite% store_folder table%,$(SERVER))))
FUZZ_LDFLAGS_etcd := $(SQLITE_L)
FUZZ_LDFLAGS_pam_socket := -Wl,--wrap=agent_connect
FUZZ_LDFLAGS_request := -Wl,--wrap=epoll_wait $(CURL_L) $(MHD_L) $(SQLITE_L)
FUZZ_LDFLAGS_server_state := $(CURL_L) $(MHD_L) $(SQLITE_L)

.PHONY: fuzz fuzz-programs check-fuzz
fuzz-programs: $(addprefix $(B)/,$(FUZZ))
fuzz:
	$(MAKE) B=$(B)/fuzz CC=clang SAN=address,undefined,fuzzer-no-link \
	    FAULT=-fno-sanitize-recover=all fuzz-programs
check-fuzz: fuzz
	B=$(B)/fuzz tests/fuzz/run $(FUZZ)

# ---- what the tests would notice, and what they run --------------------------

.PHONY: mutants cov
mutants: all unit programs
	B=$(B) tests/mutants/run $(MUTANTS)
cov:
	B=$(B) tests/cov.sh

# ---- the README's two commands: they install what is missing, then start
# again, since what was missing is looked up when make starts -----------------

.PHONY: demo demo-ha check deps
deps:
	packaging/deps build
demo:
	packaging/deps test
	$(MAKE) all
	B=$(B) tests/demo.sh
demo-ha:
	packaging/deps test
	$(MAKE) all
	B=$(B) tests/demo-ha.sh
check:
	packaging/deps test
	$(MAKE) all unit programs $(B)/deb/done
	$(MAKE) check-run

# Test programs that are not unit tests: helpers of the shell tests.
PROGRAMS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/agent/*.c tests/cli/*.c tests/faults/*.c tests/server/*.c tests/slurm/*.c tests/lib/bin_*.c))
SHELL_TESTS := $(sort $(wildcard tests/server/*.sh tests/cli/*.sh tests/faults/*.sh tests/agent/*.sh tests/slurm/*.sh tests/pam/*.sh tests/cluster/*.sh tests/examples/*.sh tests/sanitizers/*.sh) tests/clang.sh tests/docs.sh tests/install.sh tests/model.sh tests/fuzz.sh tests/mutants.sh tests/packages/debian.sh tests/packages/floor.sh tests/packages/rpm.sh tests/packages/selinux.sh)
# They begin first, so that none is waited for alone at the end.
LONG_TESTS := $(addprefix tests/,sanitizers/unit.sh sanitizers/threads.sh fuzz.sh model.sh mutants.sh sanitizers/programs.sh) $(wildcard tests/cluster/*.sh tests/slurm/faults*.sh tests/slurm/crash.sh tests/faults/crash.sh tests/faults/steps.sh tests/faults/ha.sh tests/pam/programs.sh)
EXAMPLES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/examples/*.c))
.PHONY: programs check-run check-style check-asan
programs: $(PROGRAMS) $(EXAMPLES)
$(EXAMPLES): $(B)/tests/examples/%: $(B)/obj/tests/examples/%.o $(B)/lib/libjustalock.so.1
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $< -L$(B)/lib -Wl,-rpath,'$$ORIGIN/../../lib' -ljustalock
$(filter-out $(B)/tests/unit/%,$(PROGRAMS)): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtest.a
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $(filter %.o,$^) $(B)/libtest.a $(CMOCKA_L) $(CURL_L) $(MHD_L) $(SQLITE_L) $(JSON_L) $(NETTLE_L) $(SECCOMP_L)
check-run: all unit programs
	B=$(B) tests/lib/run-tests tests/lib/check-style $(LONG_TESTS) $(filter-out $(LONG_TESTS),$(SHELL_TESTS)) $(UNIT)
check-style:
	tests/lib/run-tests tests/lib/check-style
# Machines that boot, with the packages.
.PHONY: check-cluster
check-cluster:
	packaging/deps test
	$(MAKE) all programs $(B)/deb/done
	B=$(B) NODES=must tests/lib/run-tests $(wildcard tests/cluster/*.sh)
# More than the check runs of tests/sanitizers/programs.sh.
check-asan: all
	SANITIZE="$(filter-out tests/sanitizers/% tests/clang.sh tests/docs.sh tests/fuzz.sh tests/install.sh tests/model.sh tests/mutants.sh tests/packages/% tests/pam/module.sh tests/pam/systemd.sh tests/slurm/alone.sh tests/slurm/plugin.sh tests/slurm/stuck.sh tests/slurm/healthcheck.sh tests/cluster/%,$(SHELL_TESTS))" \
	    tests/lib/run-tests $(wildcard tests/sanitizers/*.sh)
format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

# ---- bench: BENCH="run handover server flood etcd agent pam slurm", or some of them ----

BENCHES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/*.c))
BENCH_LDFLAGS_stamp := -static
BENCH_LDFLAGS_mhd_echo := $(MHD_L)
BENCH_LDFLAGS_hold_many := $(B)/libcommon.a
BENCH_LDFLAGS_pam_loop := -lpam
.PHONY: bench bench-run
$(B)/tests/bench/hold_many: $(B)/libcommon.a
$(BENCHES): $(B)/tests/bench/%: $(B)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(if $(V),,@echo '  LINK $@' && )$(LINK) -o $@ $< $(BENCH_LDFLAGS_$*)
bench:
	packaging/deps bench
	$(MAKE) bench-run
bench-run: all $(BENCHES) $(B)/tests/server/flood
	B=$(B) tests/bench/bench.sh $(BENCH)

# ---- faults: minutes of them, and the figures; SECONDS= SEED= -----------------

.PHONY: faults
faults:
	packaging/deps bench
	$(MAKE) all programs
	B=$(B) FAULT_SECONDS=$(SECONDS) FAULT_SEED=$(SEED) tests/faults/figures

# ---- install ----------------------------------------------------------------

MAN := $(wildcard common/*.[1-8] modules/*/*.[1-8] config/*.[1-8])
INSTALL ?= install
UNITS := justalock-agent justalock-server
PROGRAM_NAMES := justalock justalock-agent justalock-server
.PHONY: install uninstall install-completion format
install: all install-completion
	$(INSTALL) -D -m 755 $(B)/bin/justalock $(DESTDIR)$(bindir)/justalock
	$(INSTALL) -D -m 755 $(B)/bin/justalock-agent $(DESTDIR)$(sbindir)/justalock-agent
	$(INSTALL) -D -m 755 $(B)/bin/justalock-server $(DESTDIR)$(sbindir)/justalock-server
	$(INSTALL) -D -m 755 $(KEEPER) $(DESTDIR)$(libexecdir)/justalock/justalock-keeper
	$(INSTALL) -D -m 644 $(B)/lib/libjustalock.so.1 $(DESTDIR)$(libdir)/libjustalock.so.1
	ln -sf libjustalock.so.1 $(DESTDIR)$(libdir)/libjustalock.so
	$(INSTALL) -D -m 644 $(B)/lib/libjustalock.a $(DESTDIR)$(libdir)/libjustalock.a
	$(INSTALL) -D -m 644 common/justalock.h $(DESTDIR)$(includedir)/justalock.h
	mkdir -p $(DESTDIR)$(libdir)/pkgconfig
	sed -e 's|@prefix@|$(prefix)|; s|@libdir@|$(libdir)|; s|@includedir@|$(includedir)|; s|@version@|$(VERSION)|' \
	    packaging/justalock.pc.in > $(DESTDIR)$(libdir)/pkgconfig/justalock.pc
	$(if $(SPANK),$(INSTALL) -D -m 755 $(SPANK) $(DESTDIR)$(slurmdir)/spank_justalock.so)
	$(if $(PAM_SO),$(INSTALL) -D -m 755 $(PAM_SO) $(DESTDIR)$(pamdir)/pam_justalock.so)
	$(INSTALL) -D -m 644 config/justalock.json $(DESTDIR)$(datadir)/justalock/justalock.json
	$(INSTALL) -D -m 644 config/justalock.schema.json $(DESTDIR)$(datadir)/justalock/justalock.schema.json
	$(INSTALL) -D -m 755 config/healthcheck.sh $(DESTDIR)$(datadir)/justalock/healthcheck.sh
	$(INSTALL) -D -m 644 config/plugstack.conf.d/justalock.conf $(DESTDIR)$(datadir)/justalock/plugstack.conf.d/justalock.conf
	for f in root-shell one-login-node sudo-window justalock.pam-config; do \
	    $(INSTALL) -D -m 644 config/pam.d/$$f $(DESTDIR)$(datadir)/justalock/pam.d/$$f; done
	for m in $(MAN); do $(INSTALL) -D -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}/$$(basename $$m); done
	mkdir -p $(DESTDIR)$(unitdir)
	for u in $(UNITS); do sed 's|@sbindir@|$(sbindir)|' packaging/systemd/$$u.service.in >$(DESTDIR)$(unitdir)/$$u.service && \
	    $(INSTALL) -D -m 644 packaging/systemd/$$u.socket $(DESTDIR)$(unitdir)/$$u.socket; done
	$(INSTALL) -D -m 644 packaging/systemd/justalock.sysusers $(DESTDIR)$(sysusersdir)/justalock.conf
# The plugin alone: make clean; make spank SLURM_PREFIX=/opt/slurm; make install-spank ...
.PHONY: spank install-spank
spank: $(or $(SPANK),no-slurm)
install-spank: spank
	$(INSTALL) -D -m 755 $(SPANK) $(DESTDIR)$(slurmdir)/spank_justalock.so
no-slurm:
	@echo '$(or $(SLURM_PREFIX),/usr)/include/slurm/spank.h is missing: SLURM_PREFIX=... names your Slurm' >&2; exit 1
# Shells look for a file by the name of the command.
install-completion:
	$(INSTALL) -D -m 644 config/completion/justalock $(DESTDIR)$(bashcompdir)/justalock
	$(INSTALL) -D -m 644 config/completion/_justalock $(DESTDIR)$(zshcompdir)/_justalock
	$(INSTALL) -D -m 644 config/completion/justalock.fish $(DESTDIR)$(fishcompdir)/justalock.fish
	for c in agent server; do ln -sf justalock $(DESTDIR)$(bashcompdir)/justalock-$$c && \
	    ln -sf justalock.fish $(DESTDIR)$(fishcompdir)/justalock-$$c.fish; done
uninstall:
	rm -f $(DESTDIR)$(bindir)/justalock $(DESTDIR)$(sbindir)/justalock-agent \
	    $(DESTDIR)$(sbindir)/justalock-server $(DESTDIR)$(libdir)/libjustalock.* \
	    $(DESTDIR)$(includedir)/justalock.h $(DESTDIR)$(libdir)/pkgconfig/justalock.pc \
	    $(DESTDIR)$(slurmdir)/spank_justalock.so $(DESTDIR)$(pamdir)/pam_justalock.so
	rm -rf $(DESTDIR)$(libexecdir)/justalock $(DESTDIR)$(datadir)/justalock
	for u in $(UNITS); do rm -f $(DESTDIR)$(unitdir)/$$u.service $(DESTDIR)$(unitdir)/$$u.socket; done
	rm -f $(DESTDIR)$(sysusersdir)/justalock.conf $(DESTDIR)$(zshcompdir)/_justalock
	for c in $(PROGRAM_NAMES); do rm -f $(DESTDIR)$(bashcompdir)/$$c $(DESTDIR)$(fishcompdir)/$$c.fish; done
	for m in $(MAN); do rm -f $(DESTDIR)$(mandir)/man$${m##*.}/$$(basename $$m); done

# ---- packages -----------------------------------------------------------------

.PHONY: deb check-deb rpm check-headers
deb:
	packaging/deps package
	B=$(B) packaging/build-deb
check-deb: deb
	packaging/deps check-deb
	B=$(B) NODES=must TEST_TIMEOUT=1800 tests/lib/run-tests $(addprefix tests/packages/,debian.sh upgrade.sh deb.sh)
check-headers:
	tests/packages/headers.sh $(SLURM_GIT)
# Elsewhere rpmbuild names what is missing.
rpm:
	! command -v apt-get >/dev/null || packaging/deps package
	B=$(B) packaging/build-rpm
$(B)/deb/done: $(shell find common modules config packaging -type f) Makefile
	$(MAKE) deb
	@touch $@

.PHONY: help
help:
	@echo 'make             build everything into $(B)/'
	@echo 'make demo        install what is missing, build, show Slurm jobs taking turns'
	@echo 'make demo-ha     the same over three servers and an etcd, while servers die'
	@echo 'make check       install what is missing, build, run all tests'
	@echo 'make faults      the fault tests for minutes, figures to $(B)/faults.md; SECONDS= SEED='
	@echo 'make check-unit  the unit tests alone'
	@echo 'make check-cluster  three machines that boot, with the packages'
	@echo 'make check-style layering, banned calls, format, manuals'
	@echo 'make check-asan  all that runs under sanitizers; make check has part of it'
	@echo 'make check-fuzz  each fuzz target for FUZZ_SECONDS (clang)'
	@echo 'make mutants     bugs put in, one by one: the tests must find each'
	@echo 'make cov         which lines the tests run'
	@echo 'make bench       ratios to flock, etcdctl, etcd (installs etcd)'
	@echo 'make install     DESTDIR= prefix=/usr slurmdir=...'
	@echo 'make spank       the Slurm plugin alone; install-spank; SLURM_PREFIX=/opt/slurm'
	@echo 'make deb         Debian packages, into $(B)/deb'
	@echo 'make check-deb   those, by lintian, piuparts, autopkgtest, an upgrade'
	@echo 'make rpm         RPM packages, into $(B)/rpm; on Debian as EL8, EL9, openSUSE'
	@echo 'make check-headers SLURM_GIT=CLONE  the plugin with the headers of each Slurm'
	@echo 'make format      clang-format over all sources'
	@echo 'variables        B=$(B) CC=$(CC) WERROR=1 SAN=address,undefined'

.PHONY: clean
clean:
	rm -rf build

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
.PRECIOUS: %.o
