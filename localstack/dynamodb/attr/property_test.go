package attr_test

import (
	"bytes"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
)

// number draws any number that DynamoDB takes, small integers more often.
func number(t *rapid.T) attr.Value {
	if rapid.Bool().Draw(t, "small") {
		return attr.Int(rapid.Int64().Draw(t, "int"))
	}
	text := rapid.StringMatching(`-?[0-9]{1,38}`).Draw(t, "digits")
	if at := rapid.IntRange(1, len(text)).Draw(t, "point"); text[at-1] != '-' && at < len(text) && rapid.Bool().Draw(t, "fraction") {
		text = text[:at] + "." + text[at:]
	}
	v, err := attr.Number(text + "e" + rapid.StringMatching(`-?[0-9]{1,2}`).Draw(t, "exponent"))
	if err != nil {
		t.Fatalf("Number(%s): %v", text, err)
	}
	return v
}

func text(t *rapid.T) string {
	return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z\x00]{0,3}`)).Draw(t, "text")
}

func value(t *rapid.T, depth int) attr.Value {
	kinds := 10
	if depth == 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return attr.String(text(t))
	case 1:
		return number(t)
	case 2:
		return attr.Binary([]byte(text(t)))
	case 3:
		return attr.Bool(rapid.Bool().Draw(t, "bool"))
	case 4:
		return attr.Null()
	case 5:
		return attr.StringSet(rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "set")...)
	case 6:
		return attr.BinarySet(rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 4).Draw(t, "set")...)
	case 7:
		var members []attr.Value
		for range rapid.IntRange(1, 4).Draw(t, "members") {
			members = append(members, number(t))
		}
		return attr.NumberSet(members...)
	case 8:
		return attr.Map(item(t, depth-1))
	}
	var list []attr.Value
	for range rapid.IntRange(0, 3).Draw(t, "elements") {
		list = append(list, value(t, depth-1))
	}
	return attr.List(list)
}

func item(t *rapid.T, depth int) attr.Item {
	it := attr.Item{}
	for range rapid.IntRange(0, 4).Draw(t, "attributes") {
		it["n"+text(t)] = value(t, depth)
	}
	return it
}

func TestJSONAndBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		it := item(t, 3)
		js := it.AppendJSON(nil)
		back, err := attr.DecodeItem(js)
		if err != nil || !attr.EqualItems(it, back) {
			t.Fatalf("JSON %s decodes to %s, %v", js, back.AppendJSON(nil), err)
		}
		bin := it.AppendBinary(nil)
		back, err = attr.DecodeBinary(bin)
		if err != nil || !attr.EqualItems(it, back) {
			t.Fatalf("binary of %s decodes to %s, %v", js, back.AppendJSON(nil), err)
		}
		if direct, err := attr.AppendBinaryJSON(nil, bin); err != nil || !bytes.Equal(direct, js) {
			t.Fatalf("AppendBinaryJSON = %s, %v, want %s", direct, err, js)
		}
		if size, err := attr.SizeBinary(bin); err != nil || size != attr.Size(it) {
			t.Fatalf("SizeBinary = %d, %v, want %d", size, err, attr.Size(it))
		}
		for name, v := range it {
			got, ok, err := attr.LookupBinary(bin, name)
			if err != nil || !ok || !attr.Equal(got, v) {
				t.Fatalf("LookupBinary(%q) = %s, %v, %v", name, got.AppendJSON(nil), ok, err)
			}
		}
		if _, ok, err := attr.LookupBinary(bin, "absent"); ok || err != nil {
			t.Fatalf("LookupBinary of an absent name = %v, %v", ok, err)
		}
	})
}

func TestEqualItemsHaveEqualBytes(t *testing.T) {
	a, err1 := attr.DecodeItem([]byte(`{"a":{"NS":["1","2.0"]},"b":{"N":"1e1"},"c":{"M":{"x":{"S":"1"},"y":{"S":"2"}}}}`))
	b, err2 := attr.DecodeItem([]byte(`{"c":{"M":{"y":{"S":"2"},"x":{"S":"1"}}},"b":{"N":"10"},"a":{"NS":["2","1"]}}`))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !attr.EqualItems(a, b) || !bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)) {
		t.Errorf("%s and %s differ", a.AppendJSON(nil), b.AppendJSON(nil))
	}
}

func TestDecodeBinaryRefusesEveryPrefix(t *testing.T) {
	it, err := attr.DecodeItem([]byte(`{"a":{"S":"x"},"b":{"L":[{"N":"1"},{"M":{"c":{"SS":["p"]}}}]},"d":{"BOOL":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	bin := it.AppendBinary(nil)
	for n := range bin {
		if _, err := attr.DecodeBinary(bin[:n]); err == nil {
			t.Errorf("DecodeBinary of the first %d of %d bytes succeeded", n, len(bin))
		}
	}
}

func TestKeyOrderIsValueOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a, b attr.Value
		switch rapid.IntRange(0, 2).Draw(t, "type") {
		case 0:
			a, b = attr.String(text(t)), attr.String(text(t))
		case 1:
			a, b = attr.Binary([]byte(text(t))), attr.Binary([]byte(text(t)))
		default:
			a, b = number(t), number(t)
		}
		tail := rapid.SliceOf(rapid.Byte()).Draw(t, "tail")
		ka, kb := attr.AppendKey(nil, a), attr.AppendKey(nil, b)
		want, _ := attr.Compare(a, b)
		if got := bytes.Compare(append(ka, tail...), kb); want != 0 && got != want {
			t.Fatalf("key order of %s and %s = %d, want %d", a.AppendJSON(nil), b.AppendJSON(nil), got, want)
		}
		back, rest, err := attr.DecodeKey(append(attr.AppendKey(nil, a), tail...))
		if err != nil || !attr.Equal(back, a) || !bytes.Equal(rest, tail) {
			t.Fatalf("DecodeKey of %s = %s, %x, %v", a.AppendJSON(nil), back.AppendJSON(nil), rest, err)
		}
		if a.Type() != attr.N && b.Type() == a.Type() {
			prefix := bytes.HasPrefix(kb, attr.AppendKeyPrefix(nil, a))
			if prefix != strings.HasPrefix(b.Text(), a.Text()) {
				t.Fatalf("prefix of %q and %q = %v", a.Text(), b.Text(), prefix)
			}
		}
	})
}

func rat(t *rapid.T, v attr.Value) *big.Rat {
	r, ok := new(big.Rat).SetString(v.Text())
	if !ok {
		t.Fatalf("%q is not a number", v.Text())
	}
	return r
}

func TestArithmeticAndOrderAgreeWithRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := number(t), number(t)
		order, _ := attr.Compare(a, b)
		if want := rat(t, a).Cmp(rat(t, b)); order != want {
			t.Fatalf("Compare(%s, %s) = %d, want %d", a.Text(), b.Text(), order, want)
		}
		for _, op := range []struct {
			name  string
			got   func(a, b attr.Value) (attr.Value, error)
			exact func(z, x, y *big.Rat) *big.Rat
		}{{"Add", attr.Add, (*big.Rat).Add}, {"Sub", attr.Sub, (*big.Rat).Sub}} {
			want := op.exact(new(big.Rat), rat(t, a), rat(t, b))
			got, err := op.got(a, b)
			if err != nil {
				if len(strings.Trim(strings.Replace(want.FloatString(140), ".", "", 1), "-0")) <= 38 {
					t.Fatalf("%s(%s, %s): %v", op.name, a.Text(), b.Text(), err)
				}
				continue
			}
			if rat(t, got).Cmp(want) != 0 {
				t.Fatalf("%s(%s, %s) = %s, want %s", op.name, a.Text(), b.Text(), got.Text(), want.FloatString(140))
			}
			if again, err := attr.Number(got.Text()); err != nil || again.Text() != got.Text() {
				t.Fatalf("%s is not normalized: %s, %v", got.Text(), again.Text(), err)
			}
		}
	})
}

func FuzzDecodeBinary(f *testing.F) {
	it, _ := attr.DecodeItem([]byte(`{"a":{"S":"x"},"b":{"L":[{"N":"1"},{"M":{"c":{"SS":["p"]}}}]},"d":{"BOOL":true}}`))
	f.Add(it.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := attr.DecodeBinary(data)
		_, jsonErr := attr.AppendBinaryJSON(nil, data)
		_, sizeErr := attr.SizeBinary(data)
		if (err == nil) != (jsonErr == nil) || (err == nil) != (sizeErr == nil) {
			t.Fatalf("three walks disagree: %v, %v, %v", err, jsonErr, sizeErr)
		}
	})
}
