//! The words of free text that stay: those of the agent's own sentences, of the kernel's errors,
//! and of the libraries that report what a network or a server did. A word that is missing costs a
//! reader one word.

use std::collections::BTreeSet;

use crate::base::schema;
use crate::findings::Code;
use crate::world::DECIDING;

/// Every one, with the codes of findings, the names of attributes, and those of deciding sources.
pub(super) fn all() -> BTreeSet<&'static str> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let attributes = schema::ATTRIBUTES.iter().map(|attribute| attribute.name);
    let words = WORDS.split_ascii_whitespace().chain(codes).chain(attributes);
    words.chain(DECIDING).collect()
}

const WORDS: &str = "
A API AWS Accessing Add Address Advertise After Alerts All AlreadyExists An Argument Ask At
Attempting Away Bad BadSignature Before Block Broken By CA CAP_DAC_READ_SEARCH CLOCK_BOOTTIME
CNI CSI Can Canceled Cannot Channel ChannelClosed Check Clock Command Communication Compare
ConfigMaps Configure Connect ConnectError Connected Connection Container Couldn Create CronJob
DENY DNS DataLoss DeadlineExceeded Delete Deleting Deployment Destination Device Directory Disk
Do Due E E2BIG EACCES EADDRINUSE EADDRNOTAVAIL EADV EAFNOSUPPORT EAGAIN EALREADY EBADE EBADF
EBADFD EBADMSG EBADR EBADRQC EBADSLT EBFONT EBUSY ECANCELED ECHILD ECHRNG ECOMM ECONNABORTED
ECONNREFUSED ECONNRESET EDEADLOCK EDESTADDRREQ EDOM EDOTDOT EDQUOT EEXIST EFAULT EFBIG EHOSTDOWN
EHOSTUNREACH EIDRM EILSEQ EINPROGRESS EINTR EINVAL EIO EISCONN EISDIR EISNAM EKEYEXPIRED
EKEYREJECTED EKEYREVOKED EKS EL2HLT EL2NSYNC EL3HLT EL3RST ELIBACC ELIBBAD ELIBEXEC ELIBMAX
ELIBSCN ELNRNG ELOOP EMEDIUMTYPE EMFILE EMLINK EMSGSIZE EMULTIHOP ENAMETOOLONG ENAVAIL ENETDOWN
ENETRESET ENETUNREACH ENFILE ENOANO ENOBUFS ENOCSI ENODATA ENODEV ENOENT ENOEXEC ENOKEY ENOLCK
ENOLINK ENOMEDIUM ENOMEM ENOMSG ENONET ENOPKG ENOPROTOOPT ENOSPC ENOSR ENOSTR ENOSYS ENOTBLK
ENOTCONN ENOTDIR ENOTEMPTY ENOTNAM ENOTRECOVERABLE ENOTSOCK ENOTSUP ENOTTY ENOTUNIQ ENXIO EOF
EOVERFLOW EOWNERDEAD EPERM EPFNOSUPPORT EPIPE EPROTO EPROTONOSUPPORT EPROTOTYPE ERANGE EREMCHG
EREMOTE EREMOTEIO ERESTART ERFKILL EROFS ERROR ESHUTDOWN ESOCKTNOSUPPORT ESPIPE ESRCH ESRMNT
ESTALE ESTRPIPE ETIME ETIMEDOUT ETOOMANYREFS ETXTBSY EUCLEAN EUNATCH EUSERS EXDEV EXFULL Else
Entra ErrorKind Event Events Every Evidence Exchange Exec FailedMount FailedPrecondition File
Find First For Forbidden From Function GRPC Gateway Get Give Google HTTP Host HostToContainer I
IPv6 Identifier Identity If Illegal IncompleteMessage Input Internal Interrupted Invalid
InvalidArgument InvalidCertificate Is It Its JSON JWE JWT Job KEP-1205 KUBERNETES_SERVICE_HOST
KUBERNETES_SERVICE_PORT Kernel Key KiB Kubernetes Let Level LimitNOFILE Link Look Machine Make
Many Message Method MiB Microsoft Mount MountVolume.SetUp Multihop NODE_NAME Name Needs Network
No Nor Normal Not NotFound NotValidForName NotValidYet Nothing O OS OTLP Object On Once Open
Opening Operation Or Out OutOfRange Owner Owners Package Permission PermissionDenied Pod
Protocol RATE RF RFC RFS RSTR Raised Read Reader Remote Remove Repair ReplicaSet Requests
Required Resource ResourceExhausted Restart Restore Rotation Run SIGTERM STA_UNSYNC STS Scratch
Secret Secret-based Secrets SendRequest Service ServiceError Set Short Shorten Socket Software
Some Stale Start State Status Streams Structure TCP TFD_TIMER_CANCEL_ON_SET TIME_ERROR TLS
Temporary Text The Then They This Time Timer To Token Tokens Too Transport UDP UID URL UTF-8
Unauthenticated Unauthorized Unavailable Unimplemented Unknown UnknownIssuer Update Use User
Value Vault Verdicts Warning What When Whole Why With Without Write Wrong a able abort aborted
about above accept accepted accepts access according account action active acts address
addresses adjtimex affected after after_refusal again against agent ago agree agreed agrees
ahead alert alerts alerts.memory all allocate allowed allows alone already already-exists also
although always amount an and announced anode another answer answered answering answers any
anything api apiserver appeared application applies are argument arguments as assign assumed at
attached attempt attempted attempts audience audiences authority authorization autodetected
available avoided back bad bad-certificate base64url be became because become becomes been
before before_expiry began behind being believable belong belongs below beside between beyond
blocked body bogus boot both bound bounded brackets bucket buffer built busy but by byte bytes
ca.crt cache call called caller came can canceled cancelled cannot carries cause caused certain
certificate certificate-authority certificates chain change changed changes character check
checks child chose chrony chronyc chronyd claim claims cleaning cleared client
client-certificate clock clocks closed closing cluster cluster_age code collector column come
comes common complete completed config config.mirror configuration configured confirm confirmed
confirms connect connected connecting connection connections contain container containers
contains content context continue contradict contradicts control controller copy correct
corrected corrupted could count crashed create created creates credential credential_ends_by
credentials critical cross current current-context cut daemon data days deadline deadlock
decides decode decoding decrypt deeper default defined delay delete deleted deletionTimestamp
deliver delivered denied denies deny describe descriptor desired detail details detect detected
device did died differs directly directories directory disabled disagreeing disciplines disk
disturbed dns do does doing domain done dots down downstream drift drifting drifts driver
dropped drops due each each_request earlier early effective effective_deadline either elapsed
else empty enabled encoding encountered encrypted end ended endpoint endpoints ends engine
enough enter entries error errors evaluate evaluated event events events.k8s.io every everything
evidence exceeded exceeds exchange exchanged_by exchanges exec exist exists exit exp expected
expirationSeconds expire expired expires expires_at expiring expiry explain extended extends
extension fail failed failing fails failure failures falseticker family fanotify fault fd fetch
field fields file files find finding findings finished firewall firewalls first five flow
followed font for forbidden format forward found frame free fresh from
fs.fanotify.max_user_marks fs.inotify.max_queued_events fs.inotify.max_user_instances
fs.inotify.max_user_watches full future gateway gave generation get gets give given given_up
gives go goes going gone good got grace grace-period grant grep group grows grpc gzip h2 habit
habit_time had halted handle handshake happened harm has have header headers health healthy held
held_generation held_issued_at helps here hidden higher hint hold holds holds_old_generation
host hostPID hostPath hosts hour hours how http http2 https iat id idle if ignored ignores
implemented in inactive includes including incomplete incorrect info information inode inotify
input insecure-skip-tls-verify inside install installed instance instead internal interrupted
intersect interval intervals into invalid io ioctl is issue issued issued_at issuer issues it
item items its itself jitter journalctl json judge judged judges jumped just keeps kept kernel
key keys kill kind kiss_of_death know known knows kube-controller-manager kube-root-ca.crt
kubeconfig kubectl kubelet kubelet-arg kubelet-root-dir kubernetes.enabled kubernetes.io
kubernetes.io~empty-dir kubernetes.io~projected kubernetes.kubeconfig lack large larger last
last_error last_read lasted lasts late later latest layer leads leap learned_habit least leeway
left legacy length let level levels lib libraries library lies lifetime like likely limit limits
line lines link linkerd links list listed listening listing lists liveness lives load localhost
locks log logins logs long long-lived longer look looked looks lookup lost lower machine made
majority make makes malformed many mapping mark marked match max maximum may meanwhile measured
media medium memory message met method metrics middle millisecond min minute minutes misbehaving
mismatch missing mode moment more most mount mountPropagation mount_path mounted mountinfo
mounts move ms much multibyte must n name named names namespace namespaces nbf near nearest need
needed needs neither network never never_read new new_connection newer next no nobody node
node_time nodes non none nor not not_read_again note nothing notice now ns ntp ntpd ntpq ntpsec
null number object observed occurred of off offset old older oldest on on_change once one ones
only open opened opening operation opposite option or order origin os other other_containers
other_readers others our out outcome outlive output outside outvote outvoted over overflowed own
owners packets pages pair panicked parse parser parsing partial parts passed passes password
passwords past patch path paths payload peer pending people period periods permitted person
phase pid pins pipe place plane plug-in plugin plugins plus pod pod's pod-template-hash pods
point policies policy poll port ports possible precondition prefix present presents previous
privilege privileges probe proc process processes produce program progress projected propagate
propagation protocol prove provide provided proxies proxy proxy-url question queue quiet quota
raise raises ran random range rate re-read re-reads reach reached reaches reaching read
read-only readable reader reader_evidence readers readiness reading reads reads_old_generation
ready reason receive received recent recover recoverable recovered recovering recovers recreated
redirect reference refresh refresh_due refreshed refuse refused refused_from
refused_without_extension_from refuses regular reject rejected rejects relative remain remaining
reminders remote remove removed renewed repair replace replaced replaced_at replacement replaces
report reported reports request requested requests required rescans reset resolution resolve
resolved resolver resource resourceVersion resources respond responded response responses rest
restart restarted restarting restored result resumed retried retries retry retrying return
returned revision revoked right role root root-dir roots rotates rotating rotation rotations
rounds route rule run running runs s same saved scan scanned scanning scans scheduled scheme
scope search second seconds seconds_left secrets section see seek seems seen_since sees select
self self-signed semaphores send sending sends sense sent separated served server servers serves
service service-account service-account-extend-token-expiration service-account-issuer
service_account service_account_state serviceaccount serviceaccounts session set set-ntp setting
several severed share shared short shorten shorter should shows shutdown shutting sign signature
signed signing since single size skipped slack sleep slot slow so socket sockets some somebody
something source sources space spans specific specified spend splice ssl stack stale stalled
stands start started starts stat state status stay stayed step stepped still stop stopped store
stream streams strict structure subPath subject succeeds success successful such summary
supported suspended swap symbolic sync synchronisation synchronise synchronised synchronises
synchronising synchronized sysctl system systemd-timesyncd t table tail take takes tcp
temporarily temporary ten terminated terminates terminating terminationGracePeriodSeconds than
thanks that the their them then there these they third this thread threads three through tick
time timed timedatectl timeout timeouts timer times timestamp timesync-status tls tmpfs to token
tokens tokens_affected tokens_refused tokenwatch too too_far took total traces track tracking
transient transmit transport tried tries true trust trusted try trying twice two type u unable
unauthorized unavailable uncertain unchanged undecided undelivered under unexpected unhealthy
unique unknown unlinked unmounted unreachable unreadable unsupported unsynchronised until
unusable unusual unverified up update updated upgrade upper upstream url usable use used user
users uses utf-8 v1 valid validate value values variable verification verified verifier
verifiers verify version via view virtual visibility visible volume volumes wait waited waiting
waiting_since waits wall wanted warning warnings was watch watched watches way went were what
when where whether which while who whoever whole wholly whose why wide will window wiped with
within without won't word work workload works would write writes writing written wrong wrote
years yet your zero zone
";
