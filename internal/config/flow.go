package config

import (
	"net/netip"
	"time"

	"sallyport.dev/internal/secret"
)

// Flow carries files from a source to sinks.
type Flow struct {
	Name        string `yaml:"name" need:"yes" help:"name of the flow in logs and commands"`
	Source      Source `yaml:"source" need:"yes" help:"where files come from"`
	Sinks       []Sink `yaml:"sinks" need:"yes" help:"where each file goes, one after another"`
	Concurrency int    `yaml:"concurrency" min:"1" max:"64" help:"transfers at a time"`
	Retry       Retry  `yaml:"retry" help:"what happens after a failed attempt"`
}

// Source is where a flow's files come from: exactly one of FTP and Local.
type Source struct {
	FTP       *FTPServer    `yaml:"ftp" help:"an FTP server"`
	Local     *LocalFolder  `yaml:"local" help:"a folder of this machine"`
	Directory string        `yaml:"directory" help:"folder on the FTP server, relative to the login directory"`
	Match     string        `yaml:"match" help:"glob over file names, such as *.xml; without it every file"`
	Filter    string        `yaml:"filter" help:"expression that a file must satisfy, such as file.size > 0"`
	Every     time.Duration `yaml:"every" min:"100ms" max:"168h" help:"time between two looks, such as 30s"`
	Ready     Ready         `yaml:"ready" help:"when a file is taken for complete"`
	After     After         `yaml:"after" help:"what happens to a file once it is delivered: delete, keep, or {move: NAME}"`
}

// FTPServer is how a flow reaches an FTP server.
type FTPServer struct {
	Address  Address    `yaml:"address" need:"yes" help:"host and port, such as ftp-erp:21"`
	Location string     `yaml:"location" help:"location whose connector reaches it; without it the server is dialled directly"`
	User     string     `yaml:"user" help:"login name; without it anonymous"`
	Password secret.Ref `yaml:"password" help:"env:NAME or file:PATH"`
	Security Security   `yaml:"security" help:"explicit is AUTH TLS, implicit is TLS from the first byte, none is plain FTP"`
	Mode     Mode       `yaml:"mode" help:"who dials data connections: passive, we do; pasv, we do and never ask by EPSV; active, the server does"`
	CA       secret.Ref `yaml:"ca" help:"file:PATH of PEM certificates that the server's must come from; without it the system's"`

	Account     secret.Ref  `yaml:"account" help:"env:NAME or file:PATH of the account that the server asks for beside the password (ACCT)"`
	VirtualHost string      `yaml:"virtual_host" help:"name of the server wanted of several behind one address (HOST)"`
	PasvAddress PasvAddress `yaml:"pasv_address" help:"the address that a PASV reply names: control-host ignores it, auto believes it unless it cannot be meant, trust believes it"`
	Active      *ActivePort `yaml:"active" help:"mode active: where the server's data connections come to"`
	Pin         string      `yaml:"pin" help:"SHA-256 of the one certificate that is believed, whoever signed it: 64 hexadecimal digits"`
	Unverified  bool        `yaml:"unverified" help:"believe any certificate: whoever sits between can read and change everything"`
	Certificate secret.Ref  `yaml:"certificate" help:"file:PATH of the PEM certificate to show to a server that asks for one"`
	Key         secret.Ref  `yaml:"key" help:"file:PATH of its PEM private key"`
	OldTLS      bool        `yaml:"old_tls" help:"take TLS 1.0 and 1.1, too, which can be broken"`
	Charset     Charset     `yaml:"charset" help:"character set of the server's names"`
	KeepAlive   KeepAlive   `yaml:"keepalive" help:"what is said on idle connections so that they are not cut: noop, stat, or none, and a connection that was cut is opened again"`
}

// PasvAddress says which address of a PASV reply is believed.
type PasvAddress string

// The rules for the address of a PASV reply.
const (
	PasvControlHost PasvAddress = "control-host"
	PasvAuto        PasvAddress = "auto"
	PasvTrust       PasvAddress = "trust"
)

// Choices lists what may be written.
func (PasvAddress) Choices() []string { return []string{"control-host", "auto", "trust"} }

// KeepAlive is what is said on idle control connections.
type KeepAlive string

// The words of keepalive.
const (
	KeepAliveNone KeepAlive = "none"
	KeepAliveNoop KeepAlive = "noop"
	KeepAliveStat KeepAlive = "stat"
)

// Choices lists what may be written.
func (KeepAlive) Choices() []string { return []string{"none", "noop", "stat"} }

// ActivePort is where data connections of active mode come to.
type ActivePort struct {
	Address    netip.Addr `yaml:"address" help:"address to listen on; without it that from which the server was reached"`
	ExternalIP netip.Addr `yaml:"external_ip" help:"address that the server is told, when it reaches this machine under another"`
	Ports      PortRange  `yaml:"ports" help:"ports to listen on, such as 6000-6010; without it any"`
}

// Charset is the character set of a server's names.
type Charset string

// Choices lists what may be written.
func (Charset) Choices() []string {
	return []string{
		"utf-8", "latin1", "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-15",
		"windows-1250", "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1257",
		"cp437", "cp850", "cp852", "cp858", "cp866", "koi8-r", "koi8-u", "macintosh",
		"shift-jis", "euc-jp", "gbk", "gb18030", "big5", "euc-kr",
	}
}

// Security is how connections to an FTP server are protected.
type Security string

// The ways of protection.
const (
	SecurityNone     Security = "none"
	SecurityExplicit Security = "explicit"
	SecurityImplicit Security = "implicit"
)

// Choices lists what may be written.
func (Security) Choices() []string { return []string{"none", "explicit", "implicit"} }

// Mode says who dials data connections.
type Mode string

// The modes of RFC 959.
const (
	ModePassive Mode = "passive"
	ModePASV    Mode = "pasv"
	ModeActive  Mode = "active"
)

// Choices lists what may be written.
func (Mode) Choices() []string { return []string{"passive", "pasv", "active"} }

// LocalFolder is a folder of this machine.
type LocalFolder struct {
	Path string `yaml:"path" need:"yes" help:"the folder, such as /data/orders"`
}

// Ready says when a file in the source is taken for complete.
type Ready struct {
	When ReadyWhen     `yaml:"when" help:"unchanged looks twice and wants the same size and time, always takes a file at once"`
	For  time.Duration `yaml:"for" min:"100ms" max:"24h" help:"time between the two looks of unchanged, such as 5s"`
	Age  time.Duration `yaml:"age" min:"1s" max:"8760h" help:"a file must have been changed at least so long ago"`
}

// ReadyWhen is the rule by which a file is taken for complete.
type ReadyWhen string

// The rules.
const (
	ReadyUnchanged ReadyWhen = "unchanged"
	ReadyAlways    ReadyWhen = "always"
)

// Choices lists what may be written.
func (ReadyWhen) Choices() []string { return []string{"unchanged", "always"} }

// After is what happens to a file in the source once it is delivered.
type After struct {
	Action AfterAction
	Move   string // template of the new name, with AfterMove; relative to the source's folder
}

// AfterAction is a kind of post-processing.
type AfterAction string

// The kinds of post-processing.
const (
	AfterKeep   AfterAction = "keep" // and remember it, so that it is not taken twice
	AfterDelete AfterAction = "delete"
	AfterMove   AfterAction = "move"
)

// Choices lists what may be written as a word.
func (AfterAction) Choices() []string { return []string{"keep", "delete"} }

// moved is the written form of an After that moves.
type moved struct {
	Move string `yaml:"move" need:"yes" help:"new name, such as archive/${file.name}"`
}

// Sink is where files of a flow go: exactly one of FTP and Local.
type Sink struct {
	FTP   *FTPSink   `yaml:"ftp" help:"an FTP server"`
	Local *LocalSink `yaml:"local" help:"a folder of this machine"`
}

// FTPSink is a folder on an FTP server.
type FTPSink struct {
	FTPServer `yaml:",inline"`
	Directory string   `yaml:"directory" help:"folder on the server, relative to the login directory"`
	Name      string   `yaml:"name" help:"name of the file there, such as ${file.name}; folders in it are made"`
	Existing  Existing `yaml:"existing" help:"what happens when the name is taken"`
}

// LocalSink is a folder of this machine.
type LocalSink struct {
	LocalFolder `yaml:",inline"`
	Name        string   `yaml:"name" help:"name of the file there, such as ${file.name}; folders in it are made"`
	Existing    Existing `yaml:"existing" help:"what happens when the name is taken"`
}

// Existing is what a sink does when the final name is taken.
type Existing string

// The policies for taken names.
const (
	ExistingFail    Existing = "fail"
	ExistingReplace Existing = "replace"
	ExistingIgnore  Existing = "ignore" // leave what is there and call the file delivered
	ExistingAppend  Existing = "append"
)

// Choices lists what may be written.
func (Existing) Choices() []string { return []string{"fail", "replace", "ignore", "append"} }

// Retry says how often and how late a failed transfer is tried again. The delay
// doubles from First up to Max; after the last attempt the transfer is kept as a
// dead letter.
type Retry struct {
	Attempts int           `yaml:"attempts" min:"1" max:"1000" help:"attempts before a transfer becomes a dead letter"`
	First    time.Duration `yaml:"first" min:"100ms" max:"24h" help:"delay after the first failed attempt; it doubles from there"`
	Max      time.Duration `yaml:"max" min:"100ms" max:"168h" help:"longest delay"`
}

// Journal is where flows remember their transfers: inside this process, or in a
// NATS cluster at URLs.
type Journal struct {
	Embedded bool
	MinFree  int // MiB that its disk keeps free, for Embedded
	URLs     []string
	Replicas int // copies that the cluster keeps: 1, 3 or 5
}

// DefaultMinFree is what the disk of an embedded journal keeps free, in MiB.
const DefaultMinFree = 256

// IsZero reports whether nothing is set.
func (j Journal) IsZero() bool {
	return !j.Embedded && j.MinFree == 0 && j.URLs == nil && j.Replicas == 0
}

// embedded is the written form of a journal inside this process that says more.
type embedded struct {
	MinFree int `yaml:"min_free" min:"1" max:"1048576" help:"MiB that the disk of the state folder keeps free: with less no new file is taken on"`
}

// cluster is the written form of a journal outside this process.
type cluster struct {
	URLs     []string `yaml:"urls" need:"yes" help:"servers of the cluster, such as tls://nats-1.example.com:4222"`
	Replicas int      `yaml:"replicas" min:"1" max:"5" help:"copies that the cluster keeps: 1, 3 or 5"`
}
