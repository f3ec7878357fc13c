package expr

import (
	"strings"
	"unicode/utf8"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// MaxSize is the largest expression in bytes ("Service quotas", expressions).
const MaxSize = 4096

// tokenKind is what a token is; punctuation and operators are told apart by text.
type tokenKind uint8

const (
	tokEOF     tokenKind = iota
	tokIdent             // a word that is not a keyword
	tokKeyword           // AND OR NOT BETWEEN IN SET REMOVE ADD DELETE, in any case
	tokName              // #name
	tokValue             // :value
	tokInt
	tokPunct // ( ) [ ] . , = <> < <= > >= + - and anything that has no meaning
)

type token struct {
	kind       tokenKind
	text       string // keywords in upper case
	start, end int
}

// lex cuts an expression into tokens; a byte without meaning becomes a token of
// its own, which no rule of the grammar takes.
func lex(src string) []token {
	var tokens []token
	for i := 0; i < len(src); {
		start := i
		kind := tokPunct
		switch c := src[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case letter(c):
			i = wordEnd(src, i)
			kind = tokIdent
			if keyword(src[start:i]) {
				kind = tokKeyword
			}
		case c == '#' || c == ':':
			i = wordEnd(src, i+1)
			switch {
			case i == start+1: // alone, it means nothing
			case c == '#':
				kind = tokName
			default:
				kind = tokValue
			}
		case digit(c):
			for i < len(src) && digit(src[i]) {
				i++
			}
			kind = tokInt
		case strings.HasPrefix(src[i:], "<=") || strings.HasPrefix(src[i:], ">=") || strings.HasPrefix(src[i:], "<>"):
			i += 2
		default:
			_, n := utf8.DecodeRuneInString(src[i:])
			i += n
		}
		text := src[start:i]
		if kind == tokKeyword {
			text = strings.ToUpper(text)
		}
		tokens = append(tokens, token{kind, text, start, i})
	}
	return append(tokens, token{tokEOF, "<EOF>", len(src), len(src)})
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// wordEnd is the end of the letters, digits and underscores from i on.
func wordEnd(src string, i int) int {
	for i < len(src) && (letter(src[i]) || digit(src[i]) || src[i] == '_') {
		i++
	}
	return i
}

func keyword(word string) bool {
	switch strings.ToUpper(word) {
	case "AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE":
		return true
	}
	return false
}

// tokens is a position in the tokens of an expression. The first syntax error
// sticks and moves to the end, so that the rules of the grammar need not check
// after each step.
type tokens struct {
	src  string
	toks []token
	pos  int
	err  *attr.Error
}

func (t *tokens) peek() token { return t.toks[t.pos] }

// next consumes one token; the end stays where it is.
func (t *tokens) next() token {
	tok := t.toks[t.pos]
	if tok.kind != tokEOF {
		t.pos++
	}
	return tok
}

// take consumes the next token if it is that punctuation or keyword.
func (t *tokens) take(text string) bool {
	if tok := t.peek(); (tok.kind == tokPunct || tok.kind == tokKeyword) && tok.text == text {
		t.pos++
		return true
	}
	return false
}

// want is take for what must come.
func (t *tokens) want(text string) {
	if !t.take(text) {
		t.unexpected()
	}
}

// unexpected reports the next token as a syntax error. AWS shows it with the
// tokens before and after it, and the white space between.
func (t *tokens) unexpected() {
	tok := t.peek()
	from, to := 0, tok.end
	if t.pos > 0 {
		from = t.toks[t.pos-1].start
	}
	if t.pos+1 < len(t.toks) {
		to = t.toks[t.pos+1].end
	}
	text := tok.text
	if tok.kind == tokKeyword {
		text = t.src[tok.start:tok.end]
	}
	t.fail(attr.Invalid(`Syntax error; token: "%s", near: "%s"`, text, t.src[from:to]))
}

// fail records the first syntax error and moves to the end.
func (t *tokens) fail(err *attr.Error) {
	if t.err == nil {
		t.err = err
	}
	t.pos = len(t.toks) - 1
}
