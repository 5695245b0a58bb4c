// Package config reads the one document that says what a Sallyport does.
//
// It turns the text of a sallyport.yaml into a [Document]: plain typed structs
// under [Config], with the defaults filled in and the place of every value kept.
// It is strict and tells everything at once: [Parse] reports every [Fault] in the
// text as file:line:column with the path of the key, what is wrong with it and
// what may be written there, the nearest known key included.
//
// It is not the machines that the document speaks of: it imports none of them,
// opens no file but the document, resolves no secret and looks up no name. Two
// ways of asking whether a document may be run stand apart: a fault says that the
// document is wrong; [Document.Unserved] says that it is right and that this
// version cannot honour a key of it yet, so that a part is refused rather than
// run with less protection than was asked for.
//
// The syntax is YAML 1.2 without anchors, aliases, tags and merge keys: one
// document, one spelling for each thing.
package config

import (
	"fmt"
	"io"
	"os"
	"strings"

	"sallyport.dev/internal/fault"
)

// DefaultName is the document that commands read when none is named.
const DefaultName = "sallyport.yaml"

// MaxSize bounds a document, in bytes.
const MaxSize = 1 << 20

// Config is what a document says, defaults included.
type Config struct {
	State     string     `yaml:"state" help:"folder of the state that this process keeps, such as ./state; one running process for each"`
	Journal   Journal    `yaml:"journal" help:"where flows remember their transfers: embedded (min_free: MiB that its disk keeps free, 256 unless said), or the urls of a NATS cluster"`
	Accounts  []Account  `yaml:"accounts" help:"who may log in to sites and to the gateway's SOCKS5 listener"`
	Sites     []Site     `yaml:"sites" help:"FTP servers of this process, each over a folder"`
	Gateway   *Gateway   `yaml:"gateway" help:"the outside end of the tunnel: takes connectors in"`
	Connector *Connector `yaml:"connector" help:"the inside end of the tunnel: dials out to gateways"`
	Flows     []Flow     `yaml:"flows" help:"what carries files from a source to sinks"`
}

// Document is a document without faults.
type Document struct {
	Config
	File     string // name under which faults speak of it
	Warnings Faults // what is allowed and most likely not meant

	written Config // as written: without defaults
	places  places
	lines   []string
}

// Load reads and checks the document at path. Faults come back as a
// [fault.Invalid] error around [Faults].
func Load(path string) (*Document, error) {
	text, err := read(path)
	if err != nil {
		return nil, fault.As(err, "read the document").
			WithHint("name it with -c FILE; `sallyport config check -c FILE` says what is wrong with one")
	}
	return Parse(path, text)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return text, nil
}

// Parse checks text, which faults call file, and returns what it says. Faults
// come back, all of them and sorted by place, as a [fault.Invalid] error around
// [Faults]; the warnings of a faulty document are among them.
func Parse(file string, text []byte) (*Document, error) {
	doc, faults := check(file, text)
	if n := faults.wrong(); n > 0 {
		return nil, fault.Wrap(fault.Invalid, faults, "check %s: %s", file, count(n, "fault"))
	}
	doc.Warnings = faults
	return doc, nil
}

func check(file string, text []byte) (*Document, Faults) {
	doc := &Document{File: file, places: newPlaces(), lines: strings.Split(string(text), "\n")}
	d := &decoder{file: file, places: doc.places, bad: map[string]bool{}}
	d.document(text, &doc.written)
	again := &decoder{file: file, places: newPlaces(), bad: map[string]bool{}}
	again.document(text, &doc.Config) // structs of its own to fill the defaults into
	doc.defaults()
	if !d.broken {
		c := &checker{doc: doc, bad: d.bad}
		c.document()
		d.faults = append(d.faults, c.faults...)
	}
	d.faults.sort()
	return doc, d.faults
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
