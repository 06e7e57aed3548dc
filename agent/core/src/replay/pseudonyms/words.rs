//! The words of free text that stay: those of the agent's own sentences, of the kernel's errors,
//! and of the libraries that report what a network or a server did. A word that is missing costs a
//! reader one word.

use std::collections::BTreeSet;

use crate::base::schema;
use crate::findings::Code;

/// Every one, with the codes of findings and the names of attributes.
pub(super) fn all() -> BTreeSet<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let attributes = schema::ATTRIBUTES.iter().map(|attribute| attribute.name);
    WORDS.split_ascii_whitespace().chain(codes).chain(attributes).collect()
}

const WORDS: &str = "
+Inf 0m 100ms 100s 10ms 10s 17m 1s 28h 3h 7c9f8d6b5-x2k4q A API Accessing Add Address Advertise
After Alerts All AlreadyExists An ApiClient Argument At Attempting Attributes Away Bad
BadSignature Block Broken By CA CAP_DAC_READ_SEARCH CLOCK_BOOTTIME CNI CRITICAL CSI Can Canceled
Cannot Channel ChannelClosed Check Cleared Clock Command Communication Compare ConfigMaps
Configure Connect ConnectError Connected Connection Couldn Create CronJob DENY DNS DataLoss
DeadlineExceeded Death Delete Deleting Delta Deployment Destination Device Directory Disk
Display Do E E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EADV EAFNOSUPPORT EAGAIN EALREADY EBADE EBADF
EBADFD EBADMSG EBADR EBADRQC EBADSLT EBFONT EBUSY ECANCELED ECHILD ECHRNG ECOMM ECONNABORTED
ECONNREFUSED ECONNRESET EDEADLOCK EDESTADDRREQ EDOM EDOTDOT EDQUOT EEXIST EFAULT EFBIG EHOSTDOWN
EHOSTUNREACH EIDRM EILSEQ EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR EISNAM EKEYEXPIRED
EKEYREJECTED EKEYREVOKED EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC ELIBBAD ELIBEXEC ELIBMAX ELIBSCN
ELNRNG ELOOP EMEDIUMTYPE EMFILE EMLINK EMSGSIZE EMULTIHOP ENAMETOOLONG ENAVAIL ENETDOWN
ENETRESET ENETUNREACH ENFILE ENOANO ENOBUFS ENOCSI ENODATA ENODEV ENOENT ENOEXEC ENOKEY ENOLCK
ENOLINK ENOMEDIUM ENOMEM ENOMSG ENONET ENOPKG ENOPROTOOPT ENOSPC ENOSR ENOSTR ENOSYS ENOTBLK
ENOTCONN ENOTDIR ENOTEMPTY ENOTNAM ENOTRECOVERABLE ENOTSOCK ENOTSUP ENOTTY ENOTUNIQ ENXIO EOF
EOVERFLOW EOWNERDEAD EPERM EPFNOSUPPORT EPIPE EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EREMCHG
EREMOTE EREMOTEIO ERESTART ERFKILL EROFS ERROR ESHUTDOWN ESOCKTNOSUPPORT ESPIPE ESRCH ESRMNT
ESTALE ESTRPIPE ETIME ETIMEDOUT ETOOMANYREFS ETXTBSY EUCLEAN EUNATCH EUSERS EXDEV EXFULL Either
ErrorKind Event Events Evidence Exchange Exec Export FailedMount FailedPrecondition File Find
Findings First For Forbidden Formatter Function GET GPS GRPC Gateway Give HEAD HELP HTTP Host
HostToContainer I INFO IP IPv6 Identifier If Illegal In IncompleteMessage Input Internal
Interrupted Invalid InvalidArgument InvalidCertificate Is It Its JSON JWE JWT Job
KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT Kernel Key KiB Kiss-o Kubernetes Let Level
LimitNOFILE Link Look Machine Make Many Message Method MiB Mount MountVolume.SetUp Multihop
NODE_NAME Name Network No Node Nor Normal Not NotFound NotValidForName NotValidYet Nothing O OS
OTEL_EXPORTER_OTLP_CERTIFICATE OTLP Object Ok On Open Operation Or Out OutOfRange Owner PEM
Package Permission PermissionDenied Pod PodName PodRef Prometheus Protocol RATE RF RFC RFS RSTR
Raised Read Reader Remote Repair ReplicaSet Requests Required Resource ResourceExhausted Restart
Restore Result Run SIGTERM STA_UNSYNC Scratch Secret Secret-based Secrets Self SendRequest
Service ServiceError Set Short Shorten Signed Socket Software Some Stale Start State StatefulSet
Status Streams String Structure TCP TFD_TIMER_CANCEL_ON_SET TIME_ERROR TLS TYPE Temporary Text
The This Time Timer Times Timestamps To Token Tokens Too Transport True UDP UID UNIT URL UTC
UTF-8 Unauthenticated Unauthorized Unavailable Unimplemented Unknown UnknownIssuer Update Use
User Value Verdicts Visibility WARN Wall Warning What When Whole Without Write Wrong ZERO
_bucket _count _sum _total a able abort aborted about above accept accepted accepts access
according account action active acts address addresses adjtimex affected after again against
agent ago agree agreed agrees ahead alert alerts alerts.delivery_limit alerts.memory all
allocate allowed allows already already-exists although always amount an and announced anode
another answer answered answering answers any anybody api apiVersion apis apiserver app appeared
application applies are argument arguments aria-hidden aria-label aria-labelledby article as
as_secs assign assumed at attached attempt attempted attempts audience audiences authority
authorization autodetected available avoided axis back bad bad-certificate badge band base-uri
base64url be became because become becomes been before began behave behind being belong belongs
below between beyond blocked body bogus boot both bound bounded brackets bucket buffer built
busy but by byte bytes ca.crt cache call caller came can canceled cancelled cannot carries cart
cart-0 cause caused certificate certificate-authority certificates chain change changed changes
character charset check checks child chrony chronyc chronyd circle claim claims class cleaning
cleared client client-certificate clock clocks closed closing cluster cluster_age code collector
color-scheme column come comes common complete completed config config.mirror configuration
configured confirm confirmed confirms connect connect-src connected connecting connection
connections console contain container containers contains content context continue contradict
contradicts control controller copy correct corrected corrupted could count count_of counter
cpu.mode crashed create created creates credential credentials critical cross
cross-origin-resource-policy cumulative current current-context cut cx cy daemon dark data
data-at days dd deadline deadlock decide decides decode decoding decrypt deeper default
default-src defined delay delete deleted deletionTimestamp deliver delivered delta denied denies
deny describe descriptor desired detail details detect detected device device-width did died
differs directly directories directory disabled disagreeing disciplines disk disturbed div dl
dns do doctype does domain dots dotted down downstream drift drifting drifts driver dropped
drops dt due each early early-0 effective effective_deadline either elapsed else empty en
enabled encoding encountered encrypted end ended endpoint endpoints ends engine enough enter
entries error errors evaluate evaluated event eventTime events events.k8s.io every everything
evidence exceeded exceeds exchange exec exist exists exit exp expected expirationSeconds expire
expired expires expires_at expiring expiry export exporter extended extension f.write_str fail
failed failing fails failure failures false falseticker family fanotify fd fetch field fields
file files find finding findings finished firewalls first five flow flush fmt fn followed font
footer for forbidden form-action format forward found frame frame-ancestors free fresh from
from_secs front fs.inotify.max_queued_events fs.inotify.max_user_instances
fs.inotify.max_user_watches full future gateway gauge gave generation get gets give given_up
goes gone good got grace grace-period grant grep group grows grpc gzip h1 h2 h3 had halted
handle handshake happened has have head header headers headline health healthy height held helps
here hidden higher histogram hold holds host hostPID hostPath hosts hour hours href html http
http-equiv http.address http.enabled http.port http2 https iat icon id if ignores img img-src
impl implemented in inactive includes including incomplete incorrect info information
initial-scale inode inotify input insecure-skip-tls-verify inside install installed instance
instead internal interrupted intersect interval intervals into invalid io ioctl is issue issued
issued_at issuer it item items its jitter journalctl json json.new judge judged judges jumped
just keeps kernel key keys kill kind kiss_of_death know known kube-api-access
kube-controller-manager kube-root-ca.crt kubeconfig kubectl kubelet kubelet-arg kubelet-root-dir
kubernetes.default.svc kubernetes.enabled kubernetes.io kubernetes.io~empty-dir
kubernetes.io~projected kubernetes.kubeconfig label lack lang large larger last last-metrics
lastObservedTime last_error lasted late latest layer le leads leap least leeway left legacy
legend length let levels li lib libraries library life lifetime light like limit limits line
lines link links list listen listening listens listing lists liveness lives livez load local
localhost locks log login logs long long-0 long-lived longer look looked looks lookup lost lower
lowmemory machine main majority make makes malformed many marked match max maximum may measured
media medium memory merge-patch+json message met meta metadata method metrics middle millisecond
min minute minutes misbehaving mismatch missing mode moment more more-findings more-tokens most
mount mountPropagation mounted mountinfo ms multibyte must n name named names namespace
namespaces nav nbf near nearest need needed needs neither network never new newer no no-referrer
no-store node node_time nodes non none nor noscript nosniff not note nothing now ns ntp ntpd
ntpq ntpsec null number object observed occurred of off offset ok old old-0 older oldest on once
one ones only open opening openmetrics-text openmetrics_tests.rs
opentelemetry.proto.collector.logs.v1.LogsService
opentelemetry.proto.collector.metrics.v1.MetricsService
opentelemetry.proto.collector.trace.v1.TraceService operation option or order origin os other
others out outcome output outside outvote over overflowed own owners packets page pages pair
panicked parse parser parsing partial parts passed passwords past patch path paths pay pay-0
payload peer pending period periods permitted person phase pid pins pipe place plain plane
plug-ins plugin plugins plus pod pod's pod-template-hash pods point policies policy poll port
ports possible pre precondition prefix present presents previous prints private privilege
privileges probe proc process processes produce progress projected propagate propagation
protobuf protocol provide provided proxies proxy proxy-url pub queue queue_tests.rs quiet quota
raise raised raises random range rate re-read reach reached reaches reaching read read-only
readable readers readiness reads ready readyz reason receive received recent recover recoverable
recovered recovering recreated rect redirect reference refresh refresh_due refreshed refuse
refused refuses regarding registry.example regular reject rejected rejects rel relative remain
remaining reminders remote remove removed replace replaced replacement replaces report reported
reportingController reportingInstance reports request requested requests required rescans reset
resolution resolve resolved resolver resource resourceVersion resources respond responded
response responses rest restart restarted restarting restored result resumed retried retries
retry retry-after retrying return returned revision revoked right role root root-dir roots
rotate rotates rotating rotation rotations rounds route row rule run running runs rx s same
same-origin saved scan scanned scanning scans scheduled scheme scope script script-src script.js
search second seconds seconds_left secrets secs section see seek sees select self self-signed
self.0 self.0.as_secs semaphores send sending sends sent separated series server servers serves
service service-account service-account-extend-token-expiration service-account-issuer
service_account service_account_state serviceaccount serviceaccounts session set set-ntp setting
several severed sha256 shared shop short shorter should shows shutdown shutting sign signal
signature signed signing since single size skipped slack sleep slot slow so socket sockets some
something source sources space span spans specific specified spend splice ssl stack stale
stalled stamps_tests.rs start started starts stat state status stdout step stepped still stop
stopped store stream streams strict strip struct structure style style-src style.css subPath
subject succeeds success successful such summary super supported suspended svc svg swap symbolic
sync synchronisation synchronise synchronised synchronises synchronising synchronized sysctl
system systemd-timesyncd t tabindex table tail take takes target target_info tcp temporarily
temporary ten terminated terminates terminating terminationGracePeriodSeconds text text-anchor
than thanks that the their them then there these they third this thread threads three through
tick time time-1.example time-2.example time-3.example timed timedatectl timeout timeouts timer
times timestamp timesync-status title tls tmpfs to token tokens tokens_affected tokens_refused
tokenwatch too too_far took total traces track tracking transient transmit transport tried tries
true trust trusted try trying twice two type u uid uid-hidden ul unable unauthorized unavailable
uncertain unchanged undecided undelivered under unexpected unhealthy unique unknown unlinked
unmounted unreachable unreadable unsupported unsynchronised until unusable unusual unverified up
update updated upgrade upper upstream url usable use used user users uses usize utf-8 v1 valid
validate value values variable vector verbose verification verified verifier verifiers verify
version via view viewport virtual visibility visible volume volumes wait waited waiting
waiting_since waits wall warning warnings was watch watches went were what when where whether
which while who whole wide width will window wiped with within without won't word work worker
worker-1 working works would write write_char writes writing written wrong wrote x1 x2 y1 y2
years yet your zero zone
";
