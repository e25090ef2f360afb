"""Conversions, copies, memory layout, in-place forms."""

import pytest

from tests.parity.expressions import agree, refuse

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch deprecates some of the forms below

AGREE = """
m.to(T.float32)
m.to(dtype=T.float32)
m.to('cpu')
m.to(T.device('cpu'))
m.to('cpu',T.float32)
m.to(device='cpu',dtype=T.float32)
m.to(f)
m.to(T.int64)
m.to('cpu',copy=True)
m.to(T.float64) is m
m.to(T.float64,copy=True) is m
m.to(T.float64,non_blocking=True) is m
m.to(T.float64,False,True) is m
m.to('cpu',T.float64,False,True) is m
m.to(f,False,True)
m.to(memory_format=T.contiguous_format)
m.to()
n.to(T.bool)
n.to(T.float16)
m.type()
m.type(T.float32)
m.type('torch.FloatTensor')
n.type()
b.type()
m.type_as(f)
m.float()
m.double() is m
m.int()
m.long()
m.bool()
m.half()
m.short()
m.char()
m.byte()
n.float()
b.int()
b.float()
m.cpu() is m
m.contiguous() is m
m.t().contiguous()
m.t().is_contiguous()
m.is_contiguous()
m.t().stride()
m.stride()
m.stride(0)
m.stride(-1)
x[:,::2].stride()
x[1].storage_offset()
x.permute(2,0,1).stride()
x[:,:,0].is_contiguous()
m.expand(2,2,3).stride()
x[:,:2].reshape(2,8).is_contiguous()
m.clone()
m.clone(memory_format=T.preserve_format)
T.clone(m)
T.clone(input=m)
m.detach()
(m*1).copy_(v)
(m*1).copy_(n)
T.zeros(2,3,dtype=T.int64).copy_(mu)
(m*1).copy_(1)
(m*1).unsqueeze_(0)
(m*1).squeeze_()
(m*1).t_()
(m*1).transpose_(0,1)
(m*1).swapaxes_(0,1)
n.mul_(2)
(m*1).t().add_(m.t()).t()
T.equal(m.cpu(),m)
"""

REFUSE = """
m.to('float32')
m.to(3)
m.type('foo')
m.stride(2)
(m*1).copy_(x)
(v*1).copy_(m)
m.unsqueeze_(0)
m.t_()
(m*1).add_(x)
v.add_(1)
v[0].add_(1)
n.add_(1.5)
"""


@pytest.mark.parametrize("expression", AGREE.split("\n")[1:-1])
def test_agrees_with_pytorch(expression):
    agree(expression)


@pytest.mark.parametrize("expression", REFUSE.split("\n")[1:-1])
def test_is_refused_as_in_pytorch(expression):
    refuse(expression)
